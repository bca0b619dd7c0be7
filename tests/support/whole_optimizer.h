// AdamW over all parameters of a table, with its memory, and the norm of their gradients.
#pragma once

#include "comm/communicator.h"
#include "optim/adamw.h"
#include "optim/gradient_norm.h"
#include "parallel/partition.h"
#include "tensor/arena.h"
#include "tensor/optimizer_state.h"

namespace borealis::testing {

struct WholeOptimizer {
  Partition partition;
  Arena memory;
  OptimizerState state;
  std::unique_ptr<OptimizerOps> ops = make_cpu_optimizer_ops();
  AdamW adamw;

  static Arena memory_for(const ParameterBuffers& parameters) {
    Arena measured = Arena::measuring();
    state_in(parameters, measured);
    return {measured.used_bytes(), "optimizer state"};
  }
  static OptimizerState state_in(const ParameterBuffers& parameters, Arena& arena) {
    const RowGradients* rows = parameters.embedding_gradient;
    return {parameters.table->buffer_elements(), parameters.dtype,
            rows == nullptr ? 0 : rows->shape().table_rows, arena};
  }
  WholeOptimizer(const OptimizerConfig& config, const ParameterBuffers& parameters)
      : partition(*parameters.table, 1),
        memory(memory_for(parameters)),
        state(state_in(parameters, memory)),
        adamw(config, *ops, parameters, state, partition.pieces(0)) {}
  void step(double learning_rate, double gradient_scale) {
    adamw.step(learning_rate, gradient_scale);
  }
};

inline double whole_grad_norm(const ParameterBuffers& parameters) {
  return global_grad_norm(*make_lone_communicator(), *make_cpu_optimizer_ops(), parameters,
                          Partition(*parameters.table, 1));
}

}  // namespace borealis::testing
