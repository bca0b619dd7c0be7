// AdamW over all parameters of a table, with its memory, and the norm of their gradients.
#pragma once

#include "comm/communicator.h"
#include "kernels/backend.h"
#include "optim/adamw.h"
#include "optim/gradient_norm.h"
#include "parallel/partition.h"
#include "tensor/arena.h"
#include "tensor/optimizer_state.h"

namespace borealis::testing {

struct WholeOptimizer {
  Partition partition;
  GpuOptimizerShape gpu_shape;
  DeviceBuffer scratch;
  Arena memory;
  OptimizerState state;
  std::unique_ptr<OptimizerOps> ops;
  AdamW adamw;

  static Arena memory_for(const ParameterBuffers& parameters, Device& device) {
    Arena measured = Arena::measuring();
    state_in(parameters, measured);
    return {measured.used_bytes(), "optimizer state", device};
  }
  static OptimizerState state_in(const ParameterBuffers& parameters, Arena& arena) {
    const RowGradients* rows = parameters.embedding_gradient;
    return {parameters.table->buffer_elements(), parameters.dtype,
            rows == nullptr ? 0 : rows->shape().table_rows, arena, arena};
  }
  WholeOptimizer(const OptimizerConfig& config, const ParameterBuffers& parameters,
                 Backend& backend = cpu_backend())
      : partition(*parameters.table, 1),
        gpu_shape{.largest_sum = parameters.table->buffer_elements(), .table_rows = 0},
        scratch(backend.device(), static_cast<size_t>(gpu_optimizer_bytes(gpu_shape)), "scratch"),
        memory(memory_for(parameters, backend.device())),
        state(state_in(parameters, memory)),
        ops(backend.make_optimizer_ops(gpu_shape, scratch.bytes())),
        adamw(config, *ops, parameters, state, partition.pieces(0)) {}
  void step(double learning_rate, double gradient_scale) {
    adamw.step(learning_rate, gradient_scale);
  }
};

inline double whole_grad_norm(const ParameterBuffers& parameters, OptimizerOps& ops) {
  return global_grad_norm(*make_lone_communicator(), ops, parameters,
                          Partition(*parameters.table, 1));
}
inline double whole_grad_norm(const ParameterBuffers& parameters) {
  return whole_grad_norm(parameters, *make_cpu_optimizer_ops());
}

}  // namespace borealis::testing
