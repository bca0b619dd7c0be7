// Sums of gradients over the ranks of a job, in f32 and in the order of the ranks, through planned
// memory. Where bf16 travels (SumBuffers::dtype) a rank's part is rounded before it is added, and
// each sum once, so that every way has the same bits. Every call is collective, blocks, and returns
// the bytes that this rank received of others; with one rank it does nothing.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "parallel/sum_buffers.h"
#include "tensor/row_gradients.h"

namespace borealis {

// parts: by rank, of sizes that all ranks agree on. Rank r gets the sum of what the ranks have for
// part r.
int64_t sum_at_owners(Communicator& ranks, std::span<const std::span<const float>> parts,
                      std::span<float> mine, SumInto into, const SumBuffers& buffers);
// In place, on every rank.
int64_t sum_on_all(Communicator& ranks, std::span<float> values, const SumBuffers& buffers);
// A rank's rows become those that any rank has; their places in its memory differ from rank to
// rank. Only rows that a rank has travel to where they are added up.
// values: the host's copy of rows whose own are a device's, [shape().most_rows, row_size].
int64_t sum_row_gradients(Communicator& ranks, RowGradients& rows, const SumBuffers& buffers);
int64_t sum_row_gradients(Communicator& ranks, RowGradients& rows, float* values,
                          const SumBuffers& buffers);
// The ids of the rows that any rank has, ascending. Of the buffers it needs rows_of_ranks().
std::vector<int32_t> rows_of_any_rank(Communicator& ranks, const RowGradients& rows,
                                      const SumBuffers& buffers);

}  // namespace borealis
