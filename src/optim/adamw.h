// AdamW (Loshchilov & Hutter 2019) over what a shard owns of the flat buffers, with the reference's
// exemptions: norm gains do not decay (contract sections 3.3, 3.5). State: first and second moment
// in f32; for bf16 weights also what they lack of the f32 master weights (SplitF32 in
// base/dtype.h).
#pragma once

#include <cstdint>
#include <vector>

#include "config/run_config.h"
#include "kernels/optimizer_ops.h"
#include "parallel/partition.h"
#include "tensor/optimizer_state.h"
#include "tensor/parameter_buffers.h"

namespace borealis {

class AdamW {
 public:
  // Updates `pieces` of the parameters; `state` has the layout of their shard. It and `ops` must
  // outlive this. Master weights start from the weights as they are at the first step.
  AdamW(const OptimizerConfig& config, OptimizerOps& ops, const ParameterBuffers& parameters,
        OptimizerState& state, std::vector<ShardPiece> pieces);

  // One update. gradient_scale multiplies the gradients on the way in (clipping). With `to` the new
  // state goes there, which `state` then is, and the old one stays as it was; weights are updated
  // in place. There must be zeros, or a state that this one was before.
  void step(double learning_rate, double gradient_scale, const OptimizerState* to = nullptr);

  // Updates made, the t of the bias corrections. Setting it goes with setting the state.
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }

 private:
  template <typename T>
  void update(const ShardPiece& piece, const AdamWStep& step, const OptimizerState* to);

  OptimizerConfig config_;
  OptimizerOps& ops_;
  ParameterBuffers parameters_;
  OptimizerState& state_;
  std::vector<ShardPiece> pieces_;
  int64_t steps_ = 0;
};

// Marks the rows of an embedding that ever had a gradient, by their moments: sets
// state.had_gradient after moments were loaded. `piece`: what the shard owns of the embedding.
void mark_rows_with_history(const ShardPiece& piece, int64_t row_size, const OptimizerState& state,
                            Device& device = host_device());

// max_norm / (norm + 1e-6) if that is below 1, else 1; max_norm 0 switches clipping off.
double clip_factor(double grad_norm, double max_norm);

}  // namespace borealis
