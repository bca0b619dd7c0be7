// Data parallelism: what the ranks found out about their own samples becomes the gradient of all.
#pragma once

#include "comm/communicator.h"
#include "tensor/parameter_buffers.h"

namespace borealis {

// Every gradient becomes its sum over the ranks, in f32 and in their order: the same bits on all.
// Where the embedding's is kept by rows, a rank's rows become those that any rank has, and their
// places in its memory differ from rank to rank. With one rank it does nothing. Collective.
void sum_gradients(Communicator& ranks, const ParameterBuffers& parameters);

}  // namespace borealis
