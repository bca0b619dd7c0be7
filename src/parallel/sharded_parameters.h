// Data parallelism over the ranks of a job: whose gradients are added up where and when, and who
// has which weights (ZeRO, Rajbhandari et al. 2020).
//   stage 0: every rank has everything; gradients are all-reduced in the last micro-batch
//   stage 1: the optimizer's state is sharded; gradients are reduce-scattered then, and weights
//            gathered after the update, beside the next forward pass
//   stage 2: so are the gradients: they are reduce-scattered in every micro-batch, and their owners
//            accumulate them
//   stage 3: so are the weights: a unit's are gathered before they are used, while the one before
//            it computes
// A unit's gradients are added up beside the backward pass, as soon as they are complete, in f32
// and in the order of the ranks: stages 0 and 1, and stages 2 and 3, have the same bits, and all of
// them have where a step has one micro-batch a rank. Devices that reach each other do all that by
// themselves (parallel/group_exchange.h); of others it passes through the hosts' memory
// (parallel/device_exchange.h), at stages 0 and 1, and weights are gathered at once.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/stopwatch.h"
#include "comm/communicator.h"
#include "device/device.h"
#include "parallel/exchange_span.h"
#include "parallel/gathered_weights.h"
#include "parallel/gradient_reducer.h"
#include "parallel/group_exchange.h"
#include "parallel/partition.h"
#include "parallel/sum_buffers.h"
#include "parallel/updated_weights.h"
#include "tensor/parameter_buffers.h"
#include "tensor/unit_flow.h"

namespace borealis {

class ShardedParameters final : public UnitFlow {
 public:
  // `parameters`, partitions and `buffers` are laid out for the ranks (RunLayout); all must outlive
  // this. secondary: see GatheredWeights. device: of the parameters. joined: of devices that reach
  // each other, else null. Collective, as all that follows.
  ShardedParameters(Communicator& ranks, const ParameterBuffers& parameters,
                    const Partition& partition, const Partition& secondary,
                    const SumBuffers& buffers, Device& device = host_device(),
                    GroupExchange* joined = nullptr);

  // Of a step's.
  void begin_micro_batch(bool first, bool last) { gradients_.begin_micro_batch(first, last); }
  // After the last: every gradient that this rank owns is the sum over the ranks.
  void finish_gradients();
  // After the owners changed their weights: from then on a unit is whole while it is held.
  void share_weights();
  // Every unit is whole, until the owners change it; at stage 3 only where it is held.
  void finish_weights();
  // Told of everything that the ranks exchange by these calls, within them.
  void observe(const ExchangeObserver& observer);

  void begin() override;
  void hold(size_t unit, Hold what) override;
  void release(size_t unit, Hold what) override;
  bool hands_gradients_on() const override { return parameters_.gradients_are_sharded(); }
  double waited_ms() const override { return waited_ms_; }

 private:
  void gather_through_hosts();
  void tell(const std::vector<ExchangeSpan>& spans) const;

  Communicator& ranks_;
  const ParameterBuffers& parameters_;
  const Partition& partition_;
  const SumBuffers& buffers_;
  Device& device_;
  GroupExchange* joined_;
  std::optional<GatheredWeights> weights_;  // where they are sharded
  // Where their update is, unless they are a device's and pass through the hosts.
  std::optional<UpdatedWeights> updated_;
  GradientReducer gradients_;
  ExchangeObserver observer_;
  double waited_ms_ = 0;
};

}  // namespace borealis
