#include "optim/adamw.h"

#include <algorithm>
#include <cmath>

#include "kernels/grad_norm.h"

namespace borealis {
namespace {

constexpr int64_t kRowsOfAShare = 64;

int64_t state_bytes(const ParameterBuffers& parameters) {
  Arena measured = Arena::measuring();
  const int64_t elements = parameters.table->buffer_elements();
  measured.take<float>(elements);
  measured.take<float>(elements);
  if (parameters.dtype == DType::kBF16) measured.take<uint16_t>(elements);
  return measured.used_bytes();
}

}  // namespace

AdamW::AdamW(const OptimizerConfig& config, const ParameterBuffers& parameters)
    : config_(config), parameters_(parameters), state_(state_bytes(parameters), "optimizer state") {
  const int64_t elements = parameters.table->buffer_elements();
  first_moment_ = state_.take<float>(elements);
  second_moment_ = state_.take<float>(elements);
  if (parameters.dtype == DType::kBF16) master_remainder_ = state_.take<uint16_t>(elements);
}

void AdamW::step(double learning_rate, double gradient_scale) {
  ++steps_;
  AdamWStep step{.learning_rate = learning_rate,
                 .beta1 = config_.beta1,
                 .beta2 = config_.beta2,
                 .eps = config_.eps,
                 .weight_decay = 0,
                 .bias_correction1 = 1.0 - std::pow(config_.beta1, static_cast<double>(steps_)),
                 .bias_correction2 = 1.0 - std::pow(config_.beta2, static_cast<double>(steps_)),
                 .gradient_scale = static_cast<float>(gradient_scale)};
  for (const Parameter& parameter : parameters_.table->entries()) {
    step.weight_decay = parameter.weight_decay ? config_.weight_decay : 0.0;
    const bool is_first = parameter.offset == 0;
    if (is_first && parameters_.embedding_gradient != nullptr) {
      update_by_rows(parameter, step);
    } else {
      update_span(parameter.offset, parameter.size(), parameters_.gradient_at(parameter.offset),
                  step);
    }
  }
}

// A row without a gradient decays, and its moments fade. Of a vocabulary much larger than a batch
// most rows have never had one: their moments are zero and need not be read.
void AdamW::update_by_rows(const Parameter& parameter, const AdamWStep& step) {
  const RowGradients& gradient = *parameters_.embedding_gradient;
  const int64_t size = gradient.shape().row_size, rows = gradient.shape().table_rows;
  // The frequent rows may lie together: dealt in small shares, no thread gets them all.
#pragma omp parallel for schedule(static, 1)
  for (int64_t share = 0; share < rows; share += kRowsOfAShare) {
    const int64_t end = std::min(share + kRowsOfAShare, rows);
    for (int64_t row = share; row < end; ++row) {
      const int64_t at = parameter.offset + row * size;
      if (gradient.ever_had_gradient(row)) {
        update_span(at, size, gradient.row(row), step);
        continue;
      }
      // A call for each short row would cost as much as what it does.
      const int64_t first = row;
      while (row + 1 < end && !gradient.ever_had_gradient(row + 1)) ++row;
      decay_span(at, (row + 1 - first) * size, step);
    }
  }
}

void AdamW::decay_span(int64_t at, int64_t size, const AdamWStep& step) {
  if (parameters_.dtype == DType::kBF16) {
    adamw_decay(parameters_.weights_as<bf16>() + at, master_remainder_ + at, size, step);
  } else {
    adamw_decay(parameters_.weights_as<float>() + at, size, step);
  }
}

void AdamW::update_span(int64_t at, int64_t size, const float* gradient, const AdamWStep& step) {
  if (parameters_.dtype == DType::kBF16) {
    adamw_update(parameters_.weights_as<bf16>() + at, master_remainder_ + at, first_moment_ + at,
                 second_moment_ + at, gradient, size, step);
  } else {
    adamw_update(parameters_.weights_as<float>() + at, first_moment_ + at, second_moment_ + at,
                 gradient, size, step);
  }
}

double global_grad_norm(const ParameterBuffers& parameters) {
  // Gaps between parameters hold zeros, so the flat buffer is summed as a whole.
  double squares = sum_of_squares(parameters.gradients, parameters.gradient_elements());
  if (const RowGradients* rows = parameters.embedding_gradient) {
    squares += sum_of_squares(rows->values(), rows->used_rows() * rows->shape().row_size);
  }
  return std::sqrt(squares);
}

double clip_factor(double grad_norm, double max_norm) {
  if (max_norm <= 0) return 1.0;
  return std::min(1.0, max_norm / (grad_norm + 1e-6));
}

}  // namespace borealis
