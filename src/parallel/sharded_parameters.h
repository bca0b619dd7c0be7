// Data parallelism over the ranks of a job: whose gradients are added up where and when, and who
// has which weights (ZeRO, Rajbhandari et al. 2020).
//   stage 0: every rank has everything; gradients are all-reduced after the last micro-batch
//   stage 1: the optimizer's state is sharded; gradients are reduce-scattered then, weights
//   gathered
//            after the update
//   stage 2: so are the gradients: each unit's are reduce-scattered as its backward pass ends, and
//            its owners accumulate them over micro-batches
//   stage 3: so are the weights: a unit's are gathered before they are used, while the one before
//   it
//            computes
// Gradients are summed in f32, in the order of the ranks: stages 0 and 1, and stages 2 and 3, have
// the same bits, and all of them have where a step has one micro-batch a rank.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/stopwatch.h"
#include "comm/collectives.h"
#include "comm/communicator.h"
#include "parallel/partition.h"
#include "parallel/unit_slots.h"
#include "tensor/parameter_buffers.h"
#include "tensor/unit_flow.h"

namespace borealis {

class ShardedParameters final : public UnitFlow {
 public:
  // `parameters` and `partition` are laid out for the ranks (RunLayout); all must outlive this.
  ShardedParameters(Communicator& ranks, const ParameterBuffers& parameters,
                    const Partition& partition);

  // Before a micro-batch: the first of a step replaces what the owners have accumulated.
  void begin_micro_batch(bool first) { first_micro_batch_ = first; }
  // After the last: every gradient that this rank owns is the sum over the ranks. Collective, as
  // what follows.
  void finish_gradients();
  // After the owners changed their weights.
  void share_weights();

  void begin() override;
  void hold(size_t unit, Hold what) override;
  void release(size_t unit, Hold what) override;
  bool hands_gradients_on() const override { return parameters_.gradients_are_sharded(); }
  double waited_ms() const override { return waited_ms_; }

 private:
  struct Slot {
    int64_t unit = -1;  // whose weights are there, or will be once `gathering` has ended
    int holds = 0;
    Request gathering;
  };

  Slot& slot_of(size_t unit) { return slots_[weight_slots_.slot_of_unit[unit]]; }
  void start_gathering(size_t unit);
  void hold_weights(size_t unit);
  void gather_ahead();
  void clear_gaps(size_t unit);
  void hand_on(size_t unit);
  void add_up_at_owners(const UnitCut& cut, const float* gradients, SumInto into);
  void gather_into_flat_buffer(size_t unit);

  Communicator& ranks_;
  const ParameterBuffers& parameters_;
  const Partition& partition_;
  int64_t shard_;
  UnitSlots weight_slots_;
  std::vector<Slot> slots_;
  // Units in the order in which a micro-batch holds their weights, as learned from those before,
  // and where the present one is in it.
  std::vector<size_t> order_;
  size_t position_ = 0;
  bool first_micro_batch_ = true;
  double waited_ms_ = 0;
};

}  // namespace borealis
