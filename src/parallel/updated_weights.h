// Weights that every rank has whole, and of which each updates its part (ZeRO 1 and 2): behind an
// update they are gathered where they lie, unit by unit in the order of the next forward pass, and
// beside it: by a thread, or, where devices reach each other, in a queue of theirs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/side_queue.h"
#include "comm/communicator.h"
#include "parallel/exchange_span.h"
#include "parallel/group_exchange.h"
#include "parallel/partition.h"
#include "tensor/parameter_buffers.h"

namespace borealis {

class UpdatedWeights {
 public:
  // Of the host, or of devices that reach each other (joined; else null). Collective, as gather();
  // all must outlive this.
  UpdatedWeights(Communicator& ranks, const ParameterBuffers& parameters,
                 const Partition& partition, GroupExchange* joined);
  // Ends what gather() has begun: where the ranks leave together, some are further with it than
  // others, who would wait for them.
  ~UpdatedWeights();
  UpdatedWeights(const UpdatedWeights&) = delete;
  UpdatedWeights& operator=(const UpdatedWeights&) = delete;

  // The owners have changed their weights. Every unit has been held since the last call.
  void gather();
  // Until the unit is whole; from then on no other rank needs this one's part of it either.
  void hold(size_t unit);
  void hold_all();
  // Told of every gathering, when its unit is held, but of those on devices.
  void observe(ExchangeObserver observer) { observer_ = std::move(observer); }

 private:
  static constexpr int64_t kWhole = -1;
  int64_t queue(size_t unit);
  void exchange(size_t unit);

  int64_t rank_;
  GroupExchange* joined_;
  std::unique_ptr<Communicator> ranks_;  // of a thread's own: in no order with others' calls
  const ParameterBuffers& parameters_;
  const Partition& partition_;
  std::vector<int64_t> queued_;      // by unit: number in the queue, or a mark, or kWhole
  std::vector<ExchangeSpan> spans_;  // by unit: the queue's, until it is done
  ExchangeObserver observer_;
  SideQueue gathering_;  // last, so that it ends first
};

}  // namespace borealis
