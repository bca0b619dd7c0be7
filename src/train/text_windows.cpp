#include "train/text_windows.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "base/error.h"
#include "base/rounding.h"
#include "kernels/cross_entropy.h"

namespace borealis {
namespace {

// What stays empty of a row are documents of so many tokens: short ones cost attention least, but a
// GPU's attention knows the documents of a batch up to some hundreds.
constexpr int64_t kPaddingTokens = 64;

}  // namespace

void cut_windows(int64_t document, int64_t length, int64_t seq_length, int64_t stride,
                 const std::function<void(const TextWindow&)>& visit) {
  CHECK(stride >= 1 && stride <= seq_length);
  int64_t predicted = 0;  // the last token that a window has predicted
  for (int64_t first = 0; predicted < length - 1; first += stride) {
    const int64_t inputs = std::min(seq_length, length - 1 - first);
    visit({document, first, inputs, predicted + 1});
    predicted = first + inputs;
  }
}

WindowBatch::WindowBatch(int64_t rows, int64_t seq_length, int64_t vocab_size)
    : batch_{rows, seq_length, {}, {}},
      vocab_size_(vocab_size),
      ids_(static_cast<size_t>(seq_length + 1)) {
  const auto size = static_cast<size_t>(rows * seq_length);
  batch_.tokens.resize(size);
  batch_.targets.resize(size);
  batch_.positions.resize(size);
  batch_.document_starts.resize(size);
  clear();
}

void WindowBatch::clear() {
  row_ = used_ = counted_ = 0;
  std::ranges::fill(batch_.tokens, 0);
  std::ranges::fill(batch_.targets, kNoTarget);
  std::ranges::fill(batch_.positions, 0);
  for (int64_t row = 0; row < batch_.batch_size; ++row) pad(row, 0, batch_.seq_length);
}

bool WindowBatch::add(const TextWindow& window, const TokenDocuments& documents) {
  CHECK(window.inputs >= 1 && window.inputs <= batch_.seq_length);
  const bool next_row = used_ + window.inputs > batch_.seq_length;
  if (row_ + next_row >= batch_.batch_size) return false;
  if (next_row) {
    ++row_;
    used_ = 0;
  }
  documents.read(window.document, window.first, window.inputs + 1, ids_.data());
  check_ids(window, documents);

  const int64_t at = row_ * batch_.seq_length + used_;
  const int64_t context = window.counts_from - window.first - 1;  // inputs whose targets count not
  std::copy_n(ids_.begin(), window.inputs, batch_.tokens.begin() + at);
  std::copy(ids_.begin() + 1 + context, ids_.begin() + 1 + window.inputs,
            batch_.targets.begin() + at + context);
  const auto positions = batch_.positions.begin() + at;
  std::iota(positions, positions + window.inputs, 0);
  std::fill_n(batch_.document_starts.begin() + at, window.inputs, static_cast<int32_t>(used_));
  used_ += window.inputs;
  counted_ += window.inputs - context;
  // What is left of the document of padding that the window ends in.
  const int64_t next = round_up(used_, kPaddingTokens);
  pad(row_, used_, std::min(next, batch_.seq_length));
  return true;
}

void WindowBatch::pad(int64_t row, int64_t begin, int64_t end) {
  int32_t* starts = batch_.document_starts.data() + row * batch_.seq_length;
  for (int64_t i = begin; i < end; ++i) {
    starts[i] = static_cast<int32_t>(std::max(begin, i / kPaddingTokens * kPaddingTokens));
  }
}

void WindowBatch::check_ids(const TextWindow& window, const TokenDocuments& documents) const {
  for (int64_t i = 0; i <= window.inputs; ++i) {
    const int32_t id = ids_[static_cast<size_t>(i)];
    if (id >= 0 && id < vocab_size_) continue;
    throw Error(ErrorKind::kData,
                fmt::format("{} has the token id {} at position {}, but the model's vocabulary "
                            "ends at {}",
                            documents.name(window.document), id, window.first + i, vocab_size_ - 1),
                "use the tokenizer that the model was trained with");
  }
}

}  // namespace borealis
