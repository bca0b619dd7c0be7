#include "data/sequence_part.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "base/check.h"

namespace borealis {

SequencePart::SequencePart(std::unique_ptr<BatchSource> whole, int64_t part, int64_t parts)
    : whole_(std::move(whole)), part_(part), parts_(parts) {
  CHECK(part >= 0 && part < parts);
}

void SequencePart::next(Batch& batch) {
  whole_->next(sequences_);
  const int64_t T = sequences_.seq_length, own = T / parts_;
  CHECK(own * parts_ == T);
  const int64_t rows = sequences_.batch_size;
  batch.batch_size = rows;
  batch.seq_length = own;
  batch.parts = parts_;
  batch.loss_tokens_of_parts = sequences_.loss_tokens();
  const auto cut = [&](const std::vector<int32_t>& from, std::vector<int32_t>& to) {
    to.resize(static_cast<size_t>(rows * own));
    for (int64_t row = 0; row < rows; ++row) {
      std::copy_n(from.begin() + row * T + part_ * own, own, to.begin() + row * own);
    }
  };
  cut(sequences_.tokens, batch.tokens);
  cut(sequences_.targets, batch.targets);
  if (!sequences_.positions.empty()) {
    cut(sequences_.positions, batch.positions);
  } else {
    batch.positions.resize(static_cast<size_t>(rows * own));
    for (int64_t row = 0; row < rows; ++row) {
      const auto first = batch.positions.begin() + row * own;
      std::iota(first, first + own, static_cast<int32_t>(part_ * own));
    }
  }
  batch.document_starts = sequences_.document_starts;
}

}  // namespace borealis
