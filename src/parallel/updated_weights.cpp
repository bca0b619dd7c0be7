#include "parallel/updated_weights.h"

#include <span>

#include "base/check.h"
#include "parallel/unit_parts.h"

namespace borealis {

UpdatedWeights::UpdatedWeights(Communicator& ranks, const ParameterBuffers& parameters,
                               const Partition& partition, GroupExchange* joined)
    : rank_(ranks.rank()),
      joined_(joined),
      ranks_(joined == nullptr ? ranks.split(0) : nullptr),
      parameters_(parameters),
      partition_(partition),
      queued_(partition.cuts().size(), kWhole),
      spans_(partition.cuts().size()) {
  CHECK(partition.shards() == ranks.size() && !parameters.weights_are_sharded());
}

UpdatedWeights::~UpdatedWeights() {
  if (joined_ != nullptr) return;  // the device's queue knows how to end
  try {
    for (const int64_t queued : queued_) {
      if (queued != kWhole) gathering_.wait(queued);
    }
  } catch (...) {  // a rank is lost, which is why this one leaves
  }
}

void UpdatedWeights::gather() {
  for (size_t unit = 0; unit < queued_.size(); ++unit) {
    CHECK(queued_[unit] == kWhole, "a pass over the model holds every unit");
    queued_[unit] = queue(unit);
  }
}

int64_t UpdatedWeights::queue(size_t unit) {
  if (joined_ == nullptr) return gathering_.add([this, unit] { exchange(unit); });
  const UnitCut& cut = partition_.cuts()[unit];
  const auto width = static_cast<int64_t>(dtype_bytes(parameters_.dtype));
  std::byte* const weights = parameters_.weights_as<std::byte>() + cut.offset * width;
  return joined_->queue_gather(weights + cut.begin(rank_) * width, weights, cut, width);
}

void UpdatedWeights::hold(size_t unit) {
  const int64_t queued = std::exchange(queued_[unit], kWhole);
  if (queued == kWhole) return;
  if (joined_ != nullptr) {
    joined_->wait_for(queued);
    return;
  }
  gathering_.wait(queued);
  if (observer_) observer_(spans_[unit]);
}

void UpdatedWeights::hold_all() {
  for (size_t unit = 0; unit < queued_.size(); ++unit) hold(unit);
}

void UpdatedWeights::exchange(size_t unit) {
  ExchangeSpan& span = spans_[unit];
  span.what = Exchange::kWeights;
  span.begin = ExchangeSpan::Clock::now();
  const UnitCut& cut = partition_.cuts()[unit];
  const auto width = static_cast<int64_t>(dtype_bytes(parameters_.dtype));
  const std::vector<std::span<std::byte>> all = unit_parts(
      parameters_.weights_as<std::byte>() + cut.offset * width, cut, ranks_->size(), width);
  const std::vector<std::span<const std::byte>> mine(all.size(), all[static_cast<size_t>(rank_)]);
  ranks_->start_exchange_bytes(mine, all, "gathering weights").wait();
  span.received_bytes = (cut.elements - cut.size(rank_)) * width;
  span.end = ExchangeSpan::Clock::now();
}

}  // namespace borealis
