#include "data/mock_batch_source.h"

#include "base/check.h"
#include "base/random.h"

namespace borealis {
namespace {
constexpr uint64_t kMockStream = 0x6d6f636b20746f6bull;  // apart from those of the weights
}

MockBatchSource::MockBatchSource(const RunConfig& config, Split split, int64_t first_sample,
                                 int64_t data_parallel_rank)
    : seed_(config.seed),
      stream_(kMockStream + static_cast<uint64_t>(split)),
      vocab_size_(static_cast<uint32_t>(config.model.vocab_size)),
      seq_length_(config.batch.seq_length),
      micro_batch_size_(config.batch.micro_batch_size),
      stride_(micro_batch_size_ * config.parallel.data_parallel_size()),
      position_(first_sample + data_parallel_rank * micro_batch_size_) {
  CHECK(vocab_size_ > 0);
}

int32_t MockBatchSource::token(uint64_t index) const {
  // Each block of 128 random bits makes four tokens.
  const uint32_t word = RandomStream(seed_, stream_).bits(index / 4)[index % 4];
  return static_cast<int32_t>((static_cast<uint64_t>(word) * vocab_size_) >> 32);
}

void MockBatchSource::next(Batch& batch) {
  batch.batch_size = micro_batch_size_;
  batch.seq_length = seq_length_;
  batch.tokens.resize(static_cast<size_t>(micro_batch_size_ * seq_length_));
  batch.targets.resize(batch.tokens.size());
  size_t out = 0;
  for (int64_t row = 0; row < micro_batch_size_; ++row) {
    const auto first = static_cast<uint64_t>((position_ + row) * (seq_length_ + 1));
    int32_t current = token(first);
    for (int64_t t = 1; t <= seq_length_; ++t, ++out) {
      batch.tokens[out] = current;
      current = token(first + static_cast<uint64_t>(t));
      batch.targets[out] = current;
    }
  }
  position_ += stride_;
}

}  // namespace borealis
