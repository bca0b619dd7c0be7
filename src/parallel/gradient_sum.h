// Data parallelism: what the ranks found out about their own samples becomes the gradient of all.
#pragma once

#include "comm/communicator.h"
#include "tensor/parameter_buffers.h"

namespace borealis {

// Every dense gradient becomes its sum over the ranks, in f32 and in their order: the same bits on
// all. Collective, and with one rank it does nothing; so does the next.
void sum_dense_gradients(Communicator& ranks, const ParameterBuffers& parameters);
// A rank's rows become those that any rank has; their places in its memory differ from rank to
// rank.
void sum_row_gradients(Communicator& ranks, RowGradients& rows);

}  // namespace borealis
