// Weights of which every rank keeps a shard (ZeRO 3): a unit's are gathered before they are used,
// while the one before it computes. Devices that reach each other gather them in a queue of their
// own.
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
#include "parallel/unit_slots.h"
#include "tensor/parameter_buffers.h"

namespace borealis {

class GatheredWeights {
 public:
  // secondary: over ranks of a host (ZeRO++, Wang et al. 2023, hpZ); of no shards: there is none.
  // Else the first gathering after an update, over all ranks, fills it, and those that follow are
  // from it. Collective. Throws AgreedError(kConfig) where its shards do not divide the ranks of
  // every host. joined: of devices that reach each other, which have no secondary (CHECK), else
  // null.
  GatheredWeights(Communicator& ranks, const ParameterBuffers& parameters,
                  const Partition& partition, const Partition& secondary,
                  GroupExchange* joined = nullptr);

  // A micro-batch begins (UnitFlow).
  void begin() { position_ = 0; }
  // Until release() the unit is whole. All ranks hold the same units in the same order.
  void hold(size_t unit);
  void release(size_t unit) { --slot_of(unit).holds; }
  // The owners have changed their weights.
  void forget();
  // What was queued on devices is done, and its marks are forgotten (GroupExchange::wait()).
  void all_is_done();
  // Told of every gathering that was held, but of those on devices.
  void observe(ExchangeObserver observer) { observer_ = std::move(observer); }

 private:
  struct Slot {
    int64_t unit = -1;  // whose weights are there, or will be once `gathered` is done
    int holds = 0;
    int64_t gathered = kDone;  // number in the queue, or a mark of the devices'
    Request gathering = {};
    ExchangeSpan span = {};
  };
  static constexpr int64_t kDone = -1;

  Slot& slot_of(size_t unit) { return slots_[weight_slots_.slot_of_unit[unit]]; }
  void start(size_t unit);
  void start_on_devices(Slot& slot, size_t unit);
  static void finish(Slot& slot);
  Request start_gathering(size_t unit);
  void wait_for(const Slot& slot);
  void gather_ahead();
  void keep_for_host(size_t unit);

  Communicator& ranks_;
  const ParameterBuffers& parameters_;
  const Partition& partition_;
  const Partition& secondary_;
  GroupExchange* joined_;
  std::unique_ptr<Communicator> host_;  // the ranks of a secondary partition, if there is one
  std::vector<bool> host_has_;          // by unit: these weights are in the secondary shards
  UnitSlots weight_slots_;
  std::vector<Slot> slots_;
  // Units in the order in which a micro-batch holds their weights, as learned from those before,
  // and where the present one is in it.
  std::vector<size_t> order_;
  size_t position_ = 0;
  ExchangeObserver observer_;
  SideQueue waiting_;  // lets gatherings go on; last, so that it ends first
};

}  // namespace borealis
