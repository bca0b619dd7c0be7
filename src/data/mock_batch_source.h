// Random tokens, for measurements that need no data (--mock-data).
#pragma once

#include <cstdint>

#include "config/run_config.h"
#include "data/batch.h"

namespace borealis {

// Sample n is seq_length + 1 tokens, uniform in [0, vocab_size), that depend on the seed, the split
// and n alone. Never runs out.
class MockBatchSource : public BatchSource {
 public:
  MockBatchSource(const RunConfig& config, Split split, int64_t first_sample,
                  int64_t data_parallel_rank);
  void next(Batch& batch) override;
  void skip() override { position_ += stride_; }

 private:
  int32_t token(uint64_t index) const;

  uint64_t seed_;
  uint64_t stream_;
  uint32_t vocab_size_;
  int64_t seq_length_;
  int64_t micro_batch_size_;
  int64_t stride_;    // samples that all ranks take together in one micro-step
  int64_t position_;  // first sample of the next batch
};

}  // namespace borealis
