// The norm of all gradients, of which each rank may own a part.
#pragma once

#include "comm/communicator.h"
#include "kernels/optimizer_ops.h"
#include "parallel/partition.h"
#include "tensor/parameter_buffers.h"

namespace borealis {

// sqrt(sum g^2) over every parameter (contract section 3.4), of gradients that are summed over the
// ranks. Not finite if any gradient is not. The same bits on every rank and for every number of
// shards. Collective where there are shards.
double global_grad_norm(Communicator& ranks, OptimizerOps& ops, const ParameterBuffers& parameters,
                        const Partition& partition);

}  // namespace borealis
