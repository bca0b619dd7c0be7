#include "optim/adamw.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "parallel/owned_parameters.h"

namespace borealis {
AdamW::AdamW(const OptimizerConfig& config, OptimizerOps& ops, const ParameterBuffers& parameters,
             OptimizerState& state, std::vector<ShardPiece> pieces)
    : config_(config),
      ops_(ops),
      parameters_(parameters),
      state_(state),
      pieces_(std::move(pieces)) {}

void AdamW::step(double learning_rate, double gradient_scale, const OptimizerState* to) {
  ++steps_;
  AdamWStep step{.learning_rate = learning_rate,
                 .beta1 = config_.beta1,
                 .beta2 = config_.beta2,
                 .eps = config_.eps,
                 .weight_decay = 0,
                 .bias_correction1 = 1.0 - std::pow(config_.beta1, static_cast<double>(steps_)),
                 .bias_correction2 = 1.0 - std::pow(config_.beta2, static_cast<double>(steps_)),
                 .gradient_scale = static_cast<float>(gradient_scale)};
  // What the host has to prepare comes last: a device then has something to do meanwhile.
  for (const bool by_rows : {false, true}) {
    for (const ShardPiece& piece : pieces_) {
      const Parameter& parameter = parameters_.table->entries()[piece.parameter];
      if (parameters_.gradient_is_by_rows(parameter) != by_rows) continue;
      step.weight_decay = parameter.weight_decay ? config_.weight_decay : 0.0;
      if (parameters_.dtype == DType::kBF16) {
        update<bf16>(piece, step, to);
      } else {
        update<float>(piece, step, to);
      }
    }
  }
  if (to == nullptr) return;
  state_.first_moment = to->first_moment;
  state_.second_moment = to->second_moment;
  state_.master_remainder = to->master_remainder;
}

template <typename T>
void AdamW::update(const ShardPiece& piece, const AdamWStep& step, const OptimizerState* to) {
  const Parameter& parameter = parameters_.table->entries()[piece.parameter];
  T* weight = owned_weights<T>(parameters_, piece);
  const auto of_piece = [&piece](const OptimizerState& state) {
    return AdamWState{state.master_remainder, state.first_moment, state.second_moment}.at(
        piece.offset);
  };
  const AdamWState old = of_piece(state_);
  const AdamWState target = to == nullptr ? AdamWState() : of_piece(*to);
  if (parameters_.gradient_is_by_rows(parameter)) {
    ops_.adamw_rows(AdamWRows<T>{.begin = piece.begin,
                                 .end = piece.end,
                                 .weight = weight,
                                 .remainder = old.remainder,
                                 .m = old.m,
                                 .v = old.v,
                                 .to = target,
                                 .had_gradient = state_.had_gradient},
                    *parameters_.embedding_gradient, step);
  } else {
    ops_.adamw(AdamWSpan<T>{.weight = weight,
                            .remainder = old.remainder,
                            .m = old.m,
                            .v = old.v,
                            .gradient = owned_gradients(parameters_, piece),
                            .count = piece.size(),
                            .to = target},
               step);
  }
}

void mark_rows_with_history(const ShardPiece& piece, int64_t row_size, const OptimizerState& state,
                            Device& device) {
  std::vector<float> row_of_device(device.is_host() ? 0 : static_cast<size_t>(row_size));
  const auto has_nonzero = [&](const float* moments, int64_t from, int64_t to) {
    const float* first = moments + piece.offset + from;
    if (!device.is_host()) {
      device.download(row_of_device.data(), first, static_cast<size_t>(to - from) * sizeof(float));
      first = row_of_device.data();
    }
    return std::any_of(first, first + (to - from), [](float x) { return x != 0; });  // or is NaN
  };
  for (int64_t at = piece.begin; at < piece.end;) {
    const int64_t row = at / row_size, next = std::min((row + 1) * row_size, piece.end);
    const int64_t from = at - piece.begin, to = next - piece.begin;
    const uint64_t bit = uint64_t{1} << (row % 64);
    if (has_nonzero(state.second_moment, from, to) || has_nonzero(state.first_moment, from, to)) {
      state.had_gradient[row / 64] |= bit;
    } else if (at == row * row_size) {
      state.had_gradient[row / 64] &= ~bit;
    }
    at = next;
  }
}

double clip_factor(double grad_norm, double max_norm) {
  if (max_norm <= 0) return 1.0;
  return std::min(1.0, max_norm / (grad_norm + 1e-6));
}

}  // namespace borealis
