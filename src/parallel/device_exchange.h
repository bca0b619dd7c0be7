// What ranks exchange of memory that is a device's: it passes through the host's, a piece at a time
// (SumBuffers::staged), in the calling thread, once the device has done what was queued. What is
// added up has the bits of parallel/gradient_sum.h, and every call is collective and returns the
// bytes that this rank received of others.
#pragma once

#include <cstddef>
#include <cstdint>

#include "comm/communicator.h"
#include "device/device.h"
#include "parallel/partition.h"
#include "parallel/sum_buffers.h"
#include "tensor/row_gradients.h"

namespace borealis {

// gradients: a unit's, [cut.elements]. With a partition of one shard they become the sums on every
// rank, else this rank's part of them does.
int64_t sum_on_device(Communicator& ranks, Device& device, float* gradients, const UnitCut& cut,
                      int64_t shards, const SumBuffers& buffers);
// As sum_row_gradients().
int64_t sum_rows_on_device(Communicator& ranks, Device& device, RowGradients& rows,
                           const SumBuffers& buffers);
// weights: a unit's, [cut.elements] of `width` bytes, of which every rank has its part.
int64_t gather_on_device(Communicator& ranks, Device& device, std::byte* weights,
                         const UnitCut& cut, int64_t width, const SumBuffers& buffers);

}  // namespace borealis
