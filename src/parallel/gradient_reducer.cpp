#include "parallel/gradient_reducer.h"

#include <algorithm>

#include "base/check.h"
#include "parallel/device_exchange.h"
#include "parallel/gradient_sum.h"
#include "parallel/owned_parameters.h"
#include "parallel/unit_parts.h"

namespace borealis {

GradientReducer::GradientReducer(Communicator& ranks, const ParameterBuffers& parameters,
                                 const Partition& partition, const SumBuffers& buffers,
                                 Device& device, GroupExchange* joined)
    : ranks_(ranks.split(0)),
      parameters_(parameters),
      partition_(partition),
      buffers_(buffers),
      device_(device),
      joined_(joined) {
  CHECK(partition.shards() == 1 || partition.shards() == ranks.size());
  if (!parameters.gradients_are_sharded()) return;
  CHECK(device.is_host() || joined != nullptr);
  const UnitSlots slots =
      gradient_slots(*parameters.table, partition, parameters.embedding_gradient != nullptr);
  slot_of_unit_ = slots.slot_of_unit;
  in_slot_.resize(slots.elements.size(), kNothing);
}

void GradientReducer::begin_micro_batch(bool first, bool last) {
  first_ = first;
  last_micro_batch_ = last;
}

// What lies between parameters is part of a shard's sums: a unit that was in the slot before may
// have left something there.
void GradientReducer::clear_gaps(size_t unit) {
  const ParameterUnit& place = parameters_.table->units()[unit];
  float* gradients = parameters_.places->gradients[unit];
  int64_t end = 0;
  const auto clear_until = [&](int64_t begin) {
    if (begin > end) {
      device_.clear(gradients + end, static_cast<size_t>(begin - end) * sizeof(float));
    }
  };
  for (const Parameter& parameter : parameters_.table->entries_of(place)) {
    clear_until(parameter.offset - place.offset);
    end = parameter.offset - place.offset + parameter.size();
  }
  clear_until(place.elements);
}

void GradientReducer::hold(size_t unit) {
  if (!parameters_.gradients_are_sharded() || is_by_rows(unit)) return;
  if (const int64_t reading = in_slot_[slot_of_unit_[unit]]; reading != kNothing) {
    if (joined_ != nullptr) {
      joined_->wait_for(reading);
    } else {
      adding_.wait(reading);
    }
  }
  clear_gaps(unit);
}

void GradientReducer::hand_on(size_t unit) {
  has_begun_ = true;
  const bool in_each = parameters_.gradients_are_sharded() && !is_by_rows(unit);
  if (!in_each && !last_micro_batch_) return;
  const SumInto into = in_each && !first_ ? SumInto::kAdd : SumInto::kReplace;
  if (joined_ != nullptr && !is_by_rows(unit)) {
    queue_sum(unit, into);
    return;
  }
  if (!device_.is_host()) {  // the hosts have a part in it
    complete_.push_back(unit);
    return;
  }
  last_ = adding_.add([this, unit, into] { record_sum(unit, into); });
  if (in_each) in_slot_[slot_of_unit_[unit]] = last_;
}

void GradientReducer::queue_sum(size_t unit, SumInto into) {
  const UnitCut& cut = partition_.cuts()[unit];
  float* gradients = parameters_.gradient_at(cut.offset);
  if (partition_.shards() == 1) {
    joined_->queue_sum_on_all(gradients, cut);
    return;
  }
  const int64_t mark = joined_->queue_sum_at_owners(
      gradients, cut, owned_gradients(parameters_, cut, ranks_->rank()), into);
  if (parameters_.gradients_are_sharded()) in_slot_[slot_of_unit_[unit]] = mark;
}

void GradientReducer::finish() {
  for (const size_t unit : std::exchange(complete_, {})) {
    if (joined_ != nullptr) {
      joined_->queue_sum_of_rows(*parameters_.embedding_gradient, buffers_);
    } else {
      record_sum(unit, SumInto::kReplace);
    }
  }
  adding_.wait(last_);
  has_begun_ = false;
  if (joined_ == nullptr) return;
  spans_ = joined_->wait();
  std::ranges::fill(in_slot_, kNothing);
}

void GradientReducer::record_sum(size_t unit, SumInto into) {
  ExchangeSpan span{.what = is_by_rows(unit) ? Exchange::kEmbeddingRows : Exchange::kGradients,
                    .begin = ExchangeSpan::Clock::now(),
                    .end = {},
                    .received_bytes = add_up(unit, into)};
  span.end = ExchangeSpan::Clock::now();
  spans_.push_back(span);
}

int64_t GradientReducer::add_up(size_t unit, SumInto into) {
  if (is_by_rows(unit)) {
    RowGradients& rows = *parameters_.embedding_gradient;
    return device_.is_host() ? sum_row_gradients(*ranks_, rows, buffers_)
                             : sum_rows_on_device(*ranks_, device_, rows, buffers_);
  }
  const UnitCut& cut = partition_.cuts()[unit];
  float* gradients = parameters_.gradient_at(cut.offset);
  if (!device_.is_host()) {
    return sum_on_device(*ranks_, device_, gradients, cut, partition_.shards(), buffers_);
  }
  if (partition_.shards() == 1) {
    return sum_on_all(*ranks_, {gradients, static_cast<size_t>(cut.elements)}, buffers_);
  }
  const std::vector<std::span<const float>> parts =
      unit_parts<const float>(gradients, cut, ranks_->size());
  const int64_t own = ranks_->rank();
  const std::span<float> mine(owned_gradients(parameters_, cut, own),
                              static_cast<size_t>(cut.size(own)));
  return sum_at_owners(*ranks_, parts, mine, into, buffers_);
}

}  // namespace borealis
