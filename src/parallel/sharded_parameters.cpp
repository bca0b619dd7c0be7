#include "parallel/sharded_parameters.h"

#include <algorithm>

#include "base/check.h"
#include "parallel/gradient_sum.h"
#include "parallel/owned_parameters.h"

namespace borealis {
namespace {

constexpr const char* kGathering = "gathering weights";
constexpr const char* kAdding = "adding gradients";

std::span<std::byte> bytes_at(void* memory, int64_t offset, int64_t elements, DType dtype) {
  const auto width = static_cast<size_t>(dtype_bytes(dtype));
  return {static_cast<std::byte*>(memory) + static_cast<size_t>(offset) * width,
          static_cast<size_t>(elements) * width};
}

}  // namespace

ShardedParameters::ShardedParameters(Communicator& ranks, const ParameterBuffers& parameters,
                                     const Partition& partition)
    : ranks_(ranks),
      parameters_(parameters),
      partition_(partition),
      shard_(partition.shards() == 1 ? 0 : ranks.rank()) {
  CHECK(partition.shards() == 1 || partition.shards() == ranks.size());
  if (parameters.weights_are_sharded()) {
    weight_slots_ = weight_slots(*parameters.table, partition);
    slots_.resize(weight_slots_.elements.size());
  }
}

void ShardedParameters::begin() { position_ = 0; }

void ShardedParameters::start_gathering(size_t unit) {
  const UnitCut& cut = partition_.cuts()[unit];
  Slot& slot = slot_of(unit);
  const auto mine = bytes_at(parameters_.weights, cut.shard_offset, cut.part, parameters_.dtype);
  const auto all =
      bytes_at(parameters_.places->weights[unit], 0, cut.part * ranks_.size(), parameters_.dtype);
  slot.gathering.wait();  // of a unit that was expected in its place
  slot.unit = static_cast<int64_t>(unit);
  slot.gathering = ranks_.start_all_gather(mine, all, kGathering);
}

void ShardedParameters::hold_weights(size_t unit) {
  Slot& slot = slot_of(unit);
  if (slot.unit != static_cast<int64_t>(unit)) {
    CHECK(slot.holds == 0);
    start_gathering(unit);
  }
  slot.gathering.wait();
  ++slot.holds;
  if (position_ >= order_.size() || order_[position_] != unit) {
    order_.resize(position_);
    order_.push_back(unit);
  }
  ++position_;
  gather_ahead();
}

// The unit that will be held next, where its slot is free.
void ShardedParameters::gather_ahead() {
  if (position_ >= order_.size()) return;
  const size_t next = order_[position_];
  const Slot& slot = slot_of(next);
  if (slot.holds == 0 && slot.unit != static_cast<int64_t>(next)) start_gathering(next);
}

// What lies between parameters is part of a shard's sums: a unit that was in the slot before may
// have left something there.
void ShardedParameters::clear_gaps(size_t unit) {
  const ParameterUnit& place = parameters_.table->units()[unit];
  float* gradients = parameters_.places->gradients[unit];
  int64_t end = 0;
  const auto clear_until = [&](int64_t begin) {
    std::fill(gradients + end, gradients + begin, 0.0f);
  };
  for (const Parameter& parameter : parameters_.table->entries_of(place)) {
    clear_until(parameter.offset - place.offset);
    end = parameter.offset - place.offset + parameter.size();
  }
  clear_until(place.elements);
}

void ShardedParameters::hold(size_t unit, Hold what) {
  const TimedScope timed(waited_ms_);
  if (parameters_.weights_are_sharded() && what != Hold::kGradients) hold_weights(unit);
  if (parameters_.gradients_are_sharded() && what != Hold::kWeights &&
      parameters_.places->gradients[unit] != nullptr) {
    clear_gaps(unit);
  }
}

void ShardedParameters::release(size_t unit, Hold what) {
  const TimedScope timed(waited_ms_);
  if (parameters_.weights_are_sharded() && what != Hold::kGradients) --slot_of(unit).holds;
  if (parameters_.gradients_are_sharded() && what != Hold::kWeights) hand_on(unit);
}

// Each owner adds up its part of what the ranks found out in this micro-batch.
void ShardedParameters::hand_on(size_t unit) {
  const float* gradients = parameters_.places->gradients[unit];
  if (gradients == nullptr) return;  // kept by rows
  add_up_at_owners(partition_.cuts()[unit], gradients,
                   first_micro_batch_ ? SumInto::kReplace : SumInto::kAdd);
}

// gradients: of the whole unit, on every rank.
void ShardedParameters::add_up_at_owners(const UnitCut& cut, const float* gradients, SumInto into) {
  std::vector<std::span<const float>> parts;
  for (int64_t r = 0; r < ranks_.size(); ++r) {
    parts.emplace_back(gradients + cut.begin(r), static_cast<size_t>(cut.size(r)));
  }
  const std::span<float> mine(owned_gradients(parameters_, cut, shard_),
                              static_cast<size_t>(cut.size(shard_)));
  reduce_scatter_sum(ranks_, std::span<const std::span<const float>>(parts), mine, into, kAdding);
}

void ShardedParameters::finish_gradients() {
  if (parameters_.embedding_gradient != nullptr) {
    sum_row_gradients(ranks_, *parameters_.embedding_gradient);
  }
  if (parameters_.gradients_are_sharded()) return;  // it was done on the way
  if (partition_.shards() == 1) {
    sum_dense_gradients(ranks_, parameters_);
    return;
  }
  const size_t first = parameters_.embedding_gradient == nullptr ? 0 : 1;
  for (size_t unit = first; unit < partition_.cuts().size(); ++unit) {
    const UnitCut& cut = partition_.cuts()[unit];
    add_up_at_owners(cut, parameters_.gradient_at(cut.offset), SumInto::kReplace);
  }
}

void ShardedParameters::gather_into_flat_buffer(size_t unit) {
  const UnitCut& cut = partition_.cuts()[unit];
  const auto part = [&](int64_t r) {
    return bytes_at(parameters_.weights, cut.offset + cut.begin(r), cut.size(r), parameters_.dtype);
  };
  const std::vector<std::span<const std::byte>> mine(static_cast<size_t>(ranks_.size()),
                                                     part(shard_));
  std::vector<std::span<std::byte>> all;
  for (int64_t r = 0; r < ranks_.size(); ++r) all.push_back(part(r));
  ranks_.start_exchange_bytes(mine, all, kGathering).wait();
}

void ShardedParameters::share_weights() {
  if (partition_.shards() == 1) return;
  if (!parameters_.weights_are_sharded()) {
    for (size_t unit = 0; unit < partition_.cuts().size(); ++unit) gather_into_flat_buffer(unit);
    return;
  }
  for (Slot& slot : slots_) {  // what was gathered is of before the update
    slot.gathering.wait();
    slot.unit = -1;
  }
}

}  // namespace borealis
