// The Trainer's data that cannot be used, and that is passed over.
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "comm/collectives.h"
#include "data/batch_loader.h"
#include "data/dataset_fault.h"
#include "data/sequence_part.h"
#include "kernels/cross_entropy.h"
#include "train/trainer.h"

namespace borealis {

std::unique_ptr<BatchSource> Trainer::batches_of(Split split, int64_t first_sample) const {
  auto sequences =
      make_batch_source(config_, state_.data_order, split, first_sample, place_.data_parallel_rank);
  const int64_t parts = config_.parallel.sequence_parallel_size;
  if (!sequences || parts == 1) return sequences;
  return std::make_unique<SequencePart>(std::move(sequences), place_.sequence_parallel_rank, parts);
}

// Of several ranks the others are in the step's exchanges already, and cannot be left alone there:
// what this rank then adds to them is of a batch without targets.
void Trainer::next_batch(BatchSource& source, StepLoss& loss) {
  try {
    source.next(batch_);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kData) throw;
    const auto* dataset = dynamic_cast<const DatasetError*>(&error);
    is_foreign_token_ = dataset != nullptr && dataset->fault() == DatasetFault::kForeignToken;
    if (ranks_.size() == 1) throw;
    unusable_data_ = std::current_exception();
    loss.add_unusable();
    const DecoderShape& shape = layout_.decoder;
    const auto tokens = static_cast<size_t>(shape.rows());
    batch_ = {.batch_size = shape.micro_batch_size,
              .seq_length = shape.seq_length,
              .tokens = std::vector<int32_t>(tokens, 0),
              .targets = std::vector<int32_t>(tokens, kNoTarget),
              .parts = shape.sequence_parts};
  }
}

// The loss of all ranks. Throws an AgreedError where one of them had data that cannot be used.
void Trainer::add_up(StepLoss& loss) {
  loss.add_up(ranks_);
  if (loss.is_usable()) return;
  constexpr const char* kReading = "reading data";
  const auto foreign = all_values(ranks_, int32_t{is_foreign_token_}, kReading);
  is_foreign_token_ = std::ranges::count(foreign, 1) > 0;
  together(ranks_, kReading, [&] {
    if (unusable_data_) std::rethrow_exception(unusable_data_);
  });
}

// Data that cannot be used costs no step that was made: the run ends as with a listener's failure.
// On all ranks: of what only one of them has found, the others know nothing.
bool Trainer::data_serves(const std::function<void()>& work, std::exception_ptr& failure) const {
  try {
    work();
    return true;
  } catch (const Error& error) {
    const bool agreed = ranks_.size() == 1 || dynamic_cast<const AgreedError*>(&error) != nullptr;
    if (error.kind() != ErrorKind::kData || !agreed) throw;
    failure = std::current_exception();
    return false;
  }
}

// Of tokens; what else is wrong with data is not of this step alone.
void Trainer::advise_to_pass_over(int64_t iteration) const {
  if (!is_foreign_token_) return;
  std::string ranges;
  for (const IterationRange& range : config_.limits.ranges_to_skip) {
    ranges += fmt::format(" {} {}", range.first, range.last);
  }
  log_warning(
      fmt::format("the data of step {0} cannot be used; with --train-range-to-skip{1} {0} {0} "
                  "the same command passes over it",
                  iteration, ranges));
}

// The data of the step is consumed, whatever is in it, and nothing is computed (contract section
// 10.3).
void Trainer::pass_over_data(StepRecord& record) {
  for (int64_t micro = 0; micro < config_.batch.grad_accum_steps; ++micro) {
    const TimedScope timed(record.data_ms);
    train_data_->skip();
  }
  record.lm_loss = std::numeric_limits<double>::quiet_NaN();
  skip(record, SkipReason::kRange);
}

}  // namespace borealis
