#include "parallel/gathered_weights.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/error.h"
#include "comm/collectives.h"

namespace borealis {
namespace {

constexpr const char* kGathering = "gathering weights";

// Ranks of a host that share a secondary partition of `size` shards.
std::unique_ptr<Communicator> group_on_host(Communicator& ranks, int64_t size) {
  const std::unique_ptr<Communicator> host = ranks.split_by_host();
  together(ranks, "grouping the ranks of a host", [&] {
    if (host->size() % size == 0) return;
    throw Error(ErrorKind::kConfig,
                fmt::format("ZERO_HPZ_PARTITION_SIZE={} does not divide the {} ranks of a host",
                            size, host->size()),
                "use a divisor of the ranks of every host, or 1");
  });
  return host->split(host->rank() / size);
}

}  // namespace

GatheredWeights::GatheredWeights(Communicator& ranks, const ParameterBuffers& parameters,
                                 const Partition& partition, const Partition& secondary,
                                 GroupExchange* joined)
    : ranks_(ranks),
      parameters_(parameters),
      partition_(partition),
      secondary_(secondary),
      joined_(joined),
      host_(secondary.shards() > 0 ? group_on_host(ranks, secondary.shards()) : nullptr),
      host_has_(partition.cuts().size()),
      weight_slots_(weight_slots(*parameters.table, partition, secondary)),
      slots_(weight_slots_.elements.size()) {
  CHECK(partition.shards() == ranks.size());
  CHECK(joined == nullptr || host_ == nullptr);
}

Request GatheredWeights::start_gathering(size_t unit) {
  const auto width = static_cast<int64_t>(dtype_bytes(parameters_.dtype));
  const auto start = [&](Communicator& ranks, const std::byte* shard, const UnitCut& cut) {
    const auto part = static_cast<size_t>(cut.part * width);
    return ranks.start_all_gather(
        {shard + cut.shard_offset * width, part},
        {parameters_.places->weights[unit], part * static_cast<size_t>(ranks.size())}, kGathering);
  };
  if (host_has_[unit]) {
    return start(*host_, parameters_.places->secondary_weights, secondary_.cuts()[unit]);
  }
  return start(ranks_, parameters_.weights_as<std::byte>(), partition_.cuts()[unit]);
}

void GatheredWeights::start(size_t unit) {
  Slot& slot = slot_of(unit);
  CHECK(slot.holds == 0);
  if (joined_ != nullptr) {
    start_on_devices(slot, unit);
    return;
  }
  wait_for(slot);  // of a unit that was expected in its place
  slot.unit = static_cast<int64_t>(unit);
  const Communicator& others = host_has_[unit] ? *host_ : ranks_;
  const int64_t part = (host_has_[unit] ? secondary_ : partition_).cuts()[unit].part;
  slot.span = {.what = Exchange::kWeights,
               .begin = ExchangeSpan::Clock::now(),
               .end = {},
               .received_bytes = (others.size() - 1) * part *
                                 static_cast<int64_t>(dtype_bytes(parameters_.dtype))};
  slot.gathering = start_gathering(unit);
}

// Behind what the device has queued so far, which may read what was in the slot.
void GatheredWeights::start_on_devices(Slot& slot, size_t unit) {
  const auto width = static_cast<int64_t>(dtype_bytes(parameters_.dtype));
  const UnitCut& cut = partition_.cuts()[unit];
  slot.unit = static_cast<int64_t>(unit);
  slot.gathered =
      joined_->queue_gather(parameters_.weights_as<std::byte>() + cut.shard_offset * width,
                            parameters_.places->weights[unit], cut, width);
}

void GatheredWeights::wait_for(const Slot& slot) {
  if (slot.gathered == kDone) return;
  if (joined_ != nullptr) {
    joined_->wait_for(slot.gathered);
  } else {
    waiting_.wait(slot.gathered);
  }
}

void GatheredWeights::finish(Slot& slot) {
  slot.gathering.wait();
  slot.span.end = ExchangeSpan::Clock::now();
}

void GatheredWeights::hold(size_t unit) {
  Slot& slot = slot_of(unit);
  if (slot.unit == static_cast<int64_t>(unit)) {
    wait_for(slot);
  } else {
    start(unit);
    if (joined_ == nullptr) {
      finish(slot);
    } else {
      wait_for(slot);
    }
  }
  if (observer_ && slot.span.received_bytes > 0) observer_(std::exchange(slot.span, {}));
  if (host_ && !host_has_[unit]) keep_for_host(unit);
  ++slot.holds;
  if (position_ >= order_.size() || order_[position_] != unit) {
    order_.resize(position_);
    order_.push_back(unit);
  }
  ++position_;
  gather_ahead();
}

// The unit that will be held next, where its slot is free. A library goes on with a transfer only
// where it is called: another thread waits for it.
void GatheredWeights::gather_ahead() {
  if (position_ >= order_.size()) return;
  const size_t next = order_[position_];
  Slot& slot = slot_of(next);
  if (slot.holds > 0 || slot.unit == static_cast<int64_t>(next)) return;
  start(next);
  if (joined_ == nullptr) slot.gathered = waiting_.add([&slot] { finish(slot); });
}

void GatheredWeights::keep_for_host(size_t unit) {
  const auto width = static_cast<int64_t>(dtype_bytes(parameters_.dtype));
  const UnitCut& cut = secondary_.cuts()[unit];
  const int64_t shard = host_->rank();
  std::copy_n(parameters_.places->weights[unit] + cut.begin(shard) * width, cut.size(shard) * width,
              parameters_.places->secondary_weights + cut.shard_offset * width);
  host_has_[unit] = true;
}

void GatheredWeights::forget() {
  for (Slot& slot : slots_) {
    wait_for(slot);
    slot.unit = -1;
  }
  host_has_.assign(host_has_.size(), false);
}

void GatheredWeights::all_is_done() {
  if (joined_ == nullptr) return;
  for (Slot& slot : slots_) slot.gathered = kDone;
}

}  // namespace borealis
