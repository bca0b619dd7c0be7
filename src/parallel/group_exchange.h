// What ranks exchange of memory that is a device's where the devices reach each other (NCCL): as
// parallel/device_exchange.h, with the same bits, but queued, beside what the device computes, and
// of no host but for the embedding's rows, of which the hosts agree on the places. Calls are
// collective.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "kernels/device_group.h"
#include "parallel/exchange_span.h"
#include "parallel/group_buffers.h"
#include "parallel/partition.h"
#include "parallel/sum_buffers.h"
#include "tensor/row_gradients.h"

namespace borealis {

class GroupExchange {
 public:
  // All must outlive this. ranks: those of the group, for what their hosts tell each other.
  GroupExchange(Communicator& ranks, DeviceGroup& group, const GroupBuffers& buffers)
      : ranks_(ranks), group_(group), buffers_(buffers) {}

  // gradients: a unit's, [cut.elements], complete once the device has done what is queued now. They
  // become the sums on every rank.
  void queue_sum_on_all(float* gradients, const UnitCut& cut);
  // mine: [cut.size(rank)], which gets or is added the sums of this rank's part; may be that part
  // where it is replaced. Returns a mark, for wait_for().
  int64_t queue_sum_at_owners(float* gradients, const UnitCut& cut, float* mine, SumInto into);
  // A rank's rows become those that any rank has. host: of the ranks' bits alone.
  void queue_sum_of_rows(RowGradients& rows, const SumBuffers& host);
  // weights: a unit's, [cut.elements] of `width` bytes, which every rank's part comes to. mine:
  // this rank's, [cut.size(rank)], there or elsewhere. Returns a mark.
  int64_t queue_gather(const std::byte* mine, std::byte* weights, const UnitCut& cut,
                       int64_t width);
  // Until that is done; what the device has queued goes on meanwhile. As wait(), throws
  // Error(kRanks) where a rank does not come.
  void wait_for(int64_t mark) { group_.wait_for(mark); }
  // Until all of it is done; marks are forgotten. What was queued since the last call, in its
  // order.
  std::vector<ExchangeSpan> wait();

 private:
  using Parts = std::vector<std::span<float>>;
  template <typename T>
  void sum_parts(const Parts& parts, float* sum, SumInto into, bool on_all);
  void sum_parts(const Parts& parts, float* sum, SumInto into, bool on_all);
  void sum_on_all(std::span<float> values);
  template <typename T>
  void exchange(const std::vector<std::span<const T>>& to, const std::vector<std::span<T>>& from);
  int64_t bytes_of_others(int64_t elements, int64_t own, bool on_all) const;
  // Queues what `work` does, and keeps when and of how many bytes, which it returns.
  void queue(Exchange what, const std::function<int64_t()>& work);

  struct Queued {
    Exchange what = Exchange::kGradients;
    int64_t begin = 0, end = 0;  // marks
    int64_t received_bytes = 0;
  };

  Communicator& ranks_;
  DeviceGroup& group_;
  const GroupBuffers& buffers_;
  std::vector<Queued> queued_;
};

}  // namespace borealis
