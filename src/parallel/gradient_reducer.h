// Adds gradients up over the ranks, unit by unit, beside the backward pass: as soon as a unit's are
// complete a thread of its own sends and adds them, in the order of the ranks, while the units
// before it compute. Devices that reach each other do so in a queue of their own; those of others
// are added up when all are complete.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/side_queue.h"
#include "comm/communicator.h"
#include "device/device.h"
#include "parallel/exchange_span.h"
#include "parallel/group_exchange.h"
#include "parallel/partition.h"
#include "parallel/sum_buffers.h"
#include "parallel/unit_slots.h"
#include "tensor/parameter_buffers.h"

namespace borealis {

class GradientReducer {
 public:
  // Collective; all must outlive this. buffers: for these ranks and this device.
  // device: of the parameters, whose gradients may be sharded where it is the host, or joined.
  // joined: of devices that reach each other, else null.
  GradientReducer(Communicator& ranks, const ParameterBuffers& parameters,
                  const Partition& partition, const SumBuffers& buffers, Device& device,
                  GroupExchange* joined = nullptr);

  // Where a rank keeps all gradients (ZeRO 0 and 1) they are added up in the last micro-batch of a
  // step, else in each, and the first replaces what the owners have.
  void begin_micro_batch(bool first, bool last);
  // The unit's gradients may be written, until they are handed on. Waits for those that were in
  // their place.
  void hold(size_t unit);
  // All ranks hand the same units on in the same order.
  void hand_on(size_t unit);
  // Since finish() something was handed on.
  bool has_begun() const { return has_begun_; }
  // After the last micro-batch: every gradient that this rank owns is the sum over the ranks.
  void finish();
  // What was added up since the last call, in its order. After finish().
  std::vector<ExchangeSpan> take_spans() { return std::exchange(spans_, {}); }

 private:
  static constexpr int64_t kNothing = -1;
  void clear_gaps(size_t unit);
  void queue_sum(size_t unit, SumInto into);
  void record_sum(size_t unit, SumInto into);
  int64_t add_up(size_t unit, SumInto into);
  bool is_by_rows(size_t unit) const {
    return unit == 0 && parameters_.embedding_gradient != nullptr;
  }

  std::unique_ptr<Communicator> ranks_;  // of its own: its calls come in no order with others'
  const ParameterBuffers& parameters_;
  const Partition& partition_;
  const SumBuffers& buffers_;
  Device& device_;
  GroupExchange* joined_;
  std::vector<size_t> complete_;      // units of a device that are added up at the end
  std::vector<size_t> slot_of_unit_;  // of sharded gradients
  // What is added up from there: numbers in the queue, or marks of `joined_`, or kNothing.
  std::vector<int64_t> in_slot_;
  bool first_ = true, last_micro_batch_ = true, has_begun_ = false;
  int64_t last_ = 0;                 // number in the queue
  std::vector<ExchangeSpan> spans_;  // the queue's, until all is done
  SideQueue adding_;                 // last, so that it ends first
};

}  // namespace borealis
