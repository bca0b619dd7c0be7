// Micro-batches from the run's data files.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "config/run_config.h"
#include "data/batch.h"
#include "data/sample_order.h"
#include "data/split_plan.h"

namespace borealis {

// Walks the samples of a split in order, through a chain of segments (data_order.h); of every
// micro_batch_size * data_parallel_size samples this rank takes its run of micro_batch_size
// (contract section 7.9). Tokens are converted straight from the mapped files into the batch; the
// pages of the next batch are asked for beforehand.
class SampleStream : public BatchSource {
 public:
  // plans: of plan_segments. Throws Error(kData) if first_sample is not among the split's samples.
  SampleStream(const RunConfig& config, std::shared_ptr<const OpenedFiles> files,
               std::vector<SplitPlan> plans, int64_t first_sample, int64_t data_parallel_rank);

  void build_index();  // of the block that is next; next() does it where needed
  void next(Batch& batch) override;
  void skip() override;
  int64_t sample_count() const;  // that the stream can give in all

 private:
  // Where a position lies: segment, block of it, and place in the block.
  struct Place {
    size_t segment = 0;
    int64_t block = 0;
    int64_t inside = 0;
    bool same_block_as(const Place& other) const {
      return segment == other.segment && block == other.block;
    }
  };
  Place place_of(int64_t position) const;
  void move_to(int64_t position);
  void read_sample(const SampleOrder::Sample& sample, int32_t* tokens, int32_t* targets);
  void announce_next();
  int64_t samples_of_next() const;  // of all ranks; Error(kData) where so many are not left
  void release_pages(const SampleOrder::Sample& sample);

  RunConfig config_;
  std::shared_ptr<const OpenedFiles> files_;
  std::vector<SplitPlan> plans_;
  std::optional<SampleOrder> order_;
  Place order_at_;                          // its segment and block
  int64_t position_;                        // first sample of the next micro-step, of all ranks
  int64_t rank_offset_;                     // of this rank's samples in it
  std::vector<SampleOrder::Sample> drawn_;  // of the next batch, or none
};

}  // namespace borealis
