#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/adamw.cpp"
// clang-format off
#include "kernels/cpu/targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "kernels/cpu/vector-inl.h"
// clang-format on

#include "kernels/adamw.h"

#include <cmath>

#include "kernels/cpu/partition.h"

#ifndef BOREALIS_ADAMW_ONCE_
#define BOREALIS_ADAMW_ONCE_
namespace borealis {
namespace adamw_detail {

struct Constants {
  float gradient_scale;
  float keep;        // 1 - learning_rate * weight_decay
  float beta2;       //
  float new_in_m;    // 1 - beta1
  float new_in_v;    // 1 - beta2
  float root_bias2;  // sqrt(1 - beta2^t)
  float eps;
  float minus_step;  // -learning_rate / (1 - beta1^t)
};

}  // namespace adamw_detail
}  // namespace borealis
#endif

HWY_BEFORE_NAMESPACE();
namespace borealis {
namespace HWY_NAMESPACE {

// master is read and written; rounded, where not null, receives its bf16.
void adamw_span(bf16* rounded, float* master, float* m, float* v, const float* gradient, int64_t n,
                const adamw_detail::Constants& constants) {
  const F32 d;
  const auto scale = hn::Set(d, constants.gradient_scale);
  const auto keep = hn::Set(d, constants.keep);
  const auto beta2 = hn::Set(d, constants.beta2);
  const auto new_in_m = hn::Set(d, constants.new_in_m);
  const auto new_in_v = hn::Set(d, constants.new_in_v);
  const auto root_bias2 = hn::Set(d, constants.root_bias2);
  const auto eps = hn::Set(d, constants.eps);
  const auto minus_step = hn::Set(d, constants.minus_step);
  for_columns(d, n, [&](int64_t i, auto width) HWY_ATTR {
    const auto g = hn::Mul(load(d, gradient + i, width), scale);
    const auto old_m = load(d, m + i, width);
    const auto mean = hn::MulAdd(new_in_m, hn::Sub(g, old_m), old_m);
    const auto decayed = hn::Mul(load(d, v + i, width), beta2);
    const auto square = hn::MulAdd(hn::Mul(g, g), new_in_v, decayed);
    const auto denominator = hn::Add(hn::Div(hn::Sqrt(square), root_bias2), eps);
    const auto kept = hn::Mul(load(d, master + i, width), keep);
    const auto weight = hn::MulAdd(minus_step, hn::Div(mean, denominator), kept);
    store(d, mean, m + i, width);
    store(d, square, v + i, width);
    store(d, weight, master + i, width);
    if (rounded != nullptr) store(d, weight, rounded + i, width);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace borealis
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace borealis {
namespace {
HWY_EXPORT(adamw_span);

adamw_detail::Constants constants_of(const AdamWStep& step) {
  return {.gradient_scale = step.gradient_scale,
          .keep = static_cast<float>(1 - step.learning_rate * step.weight_decay),
          .beta2 = static_cast<float>(step.beta2),
          .new_in_m = static_cast<float>(1 - step.beta1),
          .new_in_v = static_cast<float>(1 - step.beta2),
          .root_bias2 = static_cast<float>(std::sqrt(step.bias_correction2)),
          .eps = static_cast<float>(step.eps),
          .minus_step = static_cast<float>(-step.learning_rate / step.bias_correction1)};
}

}  // namespace

void adamw_update(bf16* weight, float* master, float* m, float* v, const float* gradient, int64_t n,
                  const AdamWStep& step) {
  const auto constants = constants_of(step);
  const auto kernel = HWY_DYNAMIC_DISPATCH(adamw_span);
  for_each_chunk(n, kElementChunk, [&](int64_t at, int64_t count) {
    bf16* rounded = weight != nullptr ? weight + at : nullptr;
    kernel(rounded, master + at, m + at, v + at, gradient + at, count, constants);
  });
}

void adamw_update(float* weight, float* m, float* v, const float* gradient, int64_t n,
                  const AdamWStep& step) {
  adamw_update(nullptr, weight, m, v, gradient, n, step);
}

}  // namespace borealis
#endif
