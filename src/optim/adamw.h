// AdamW (Loshchilov & Hutter 2019) over the flat buffers, with the reference's exemptions: tensors
// of one dimension do not decay (contract sections 3.3, 3.5). State: first and second moment in
// f32; for bf16 weights also what they lack of the f32 master weights (SplitF32 in base/dtype.h).
#pragma once

#include <cstdint>

#include "config/run_config.h"
#include "kernels/adamw.h"
#include "tensor/arena.h"
#include "tensor/parameter_buffers.h"

namespace borealis {

class AdamW {
 public:
  // Takes optimizer_bytes_per_element(dtype) bytes an element; master weights start from the
  // weights as they are at the first step.
  AdamW(const OptimizerConfig& config, const ParameterBuffers& parameters);

  // One update. gradient_scale multiplies the gradients on the way in (clipping).
  void step(double learning_rate, double gradient_scale);
  int64_t steps() const { return steps_; }

 private:
  void update_by_rows(const Parameter& parameter, const AdamWStep& step);
  // `size` elements from `at` on; decay_span where gradient and moments are zero.
  void decay_span(int64_t at, int64_t size, const AdamWStep& step);
  void update_span(int64_t at, int64_t size, const float* gradient, const AdamWStep& step);

  OptimizerConfig config_;
  ParameterBuffers parameters_;
  Arena state_;
  float* first_moment_ = nullptr;
  float* second_moment_ = nullptr;
  uint16_t* master_remainder_ = nullptr;  // bf16 only
  int64_t steps_ = 0;
};

// sqrt(sum g^2) over every parameter (contract section 3.4). Not finite if any gradient is not.
double global_grad_norm(const ParameterBuffers& parameters);
// max_norm / (norm + 1e-6) if that is below 1, else 1; max_norm 0 switches clipping off.
double clip_factor(double grad_norm, double max_norm);

}  // namespace borealis
