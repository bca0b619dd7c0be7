#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/adamw.cpp"
// clang-format off
#include "kernels/cpu/targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "kernels/cpu/vector-inl.h"
// clang-format on

#include "kernels/adamw.h"

#include <hwy/cache_control.h>

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

enum class Stores { kCached, kStreamed };  // streamed: past the caches

}  // namespace adamw_detail
}  // namespace borealis
#endif

HWY_BEFORE_NAMESPACE();
namespace borealis {
namespace HWY_NAMESPACE {

namespace {

using adamw_detail::Stores;

template <Stores kStores, class Width>
HWY_INLINE void put(F32 d, F32Vec v, float* p, Width width) {
  if constexpr (kStores == Stores::kStreamed) {
    stream(d, v, p, width);
  } else {
    store(d, v, p, width);
  }
}

// Weights that are their own master, and stay where they are.
struct WholeMaster {
  float* weight;

  template <class Width>
  HWY_INLINE F32Vec load_at(F32 d, int64_t i, Width width) const {
    return load(d, weight + i, width);
  }
  template <class Width>
  HWY_INLINE void store_at(F32 d, F32Vec v, int64_t i, Width width) const {
    store(d, v, weight + i, width);
  }
};

// SplitF32 by vectors.
template <Stores kStores>
struct SplitMaster {
  bf16* weight;
  const uint16_t* remainder;
  uint16_t* to;

  template <class Width>
  HWY_INLINE F32Vec load_at(F32 d, int64_t i, Width width) const {
    const U32 du32;
    const auto upper = hn::BitCast(du32, load(d, weight + i, width));
    const auto lower = load_words(du32, remainder + i, width);
    const auto rounded_up = hn::And(hn::ShiftLeft<1>(lower), hn::Set(du32, 0x10000u));
    return hn::BitCast(d, hn::Sub(hn::Or(upper, lower), rounded_up));
  }
  template <class Width>
  HWY_INLINE void store_at(F32, F32Vec v, int64_t i, Width width) const {
    const U32 du32;
    // Rounding would carry some NaNs into finite numbers.
    const auto word = hn::IfThenElse(hn::RebindMask(du32, hn::IsNaN(v)), hn::Set(du32, 0x7fc00000u),
                                     hn::BitCast(du32, v));
    const auto rounded = hn::ShiftRight<16>(hn::Add(word, hn::Set(du32, 0x8000u)));
    store_words(rounded, &weight[i].bits, width);
    const auto rest = hn::And(word, hn::Set(du32, 0xffffu));
    if constexpr (kStores == Stores::kStreamed) {
      stream_words(rest, to + i, width);
    } else {
      store_words(rest, to + i, width);
    }
  }
};

template <Stores kStores, class Master>
HWY_INLINE void update(const Master& master, const AdamWState& from, const AdamWState& to,
                       const float* gradient, int64_t n, const adamw_detail::Constants& constants) {
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
    const auto old_m = load(d, from.m + i, width);
    const auto mean = hn::MulAdd(new_in_m, hn::Sub(g, old_m), old_m);
    const auto decayed = hn::Mul(load(d, from.v + i, width), beta2);
    const auto square = hn::MulAdd(hn::Mul(g, g), new_in_v, decayed);
    const auto denominator = hn::Add(hn::Div(hn::Sqrt(square), root_bias2), eps);
    const auto kept = hn::Mul(master.load_at(d, i, width), keep);
    const auto weight = hn::MulAdd(minus_step, hn::Div(mean, denominator), kept);
    put<kStores>(d, mean, to.m + i, width);
    put<kStores>(d, square, to.v + i, width);
    master.store_at(d, weight, i, width);
  });
}

template <class Master>
HWY_INLINE void decay(const Master& master, int64_t n, float factor) {
  const F32 d;
  const auto keep = hn::Set(d, factor);
  for_columns(d, n, [&](int64_t i, auto width) HWY_ATTR {
    master.store_at(d, hn::Mul(master.load_at(d, i, width), keep), i, width);
  });
}

}  // namespace

void decay_span_f32(float* weight, int64_t n, float keep) { decay(WholeMaster{weight}, n, keep); }
void decay_span_bf16(bf16* weight, const uint16_t* remainder, uint16_t* to, int64_t n, float keep) {
  decay(SplitMaster<Stores::kCached>{weight, remainder, to}, n, keep);
}

template <Stores kStores>
void update_span(float* weight, const AdamWState& from, const AdamWState& to, const float* gradient,
                 int64_t n, const adamw_detail::Constants& constants) {
  update<kStores>(WholeMaster{weight}, from, to, gradient, n, constants);
}
template <Stores kStores>
void update_span(bf16* weight, const AdamWState& from, const AdamWState& to, const float* gradient,
                 int64_t n, const adamw_detail::Constants& constants) {
  update<kStores>(SplitMaster<kStores>{weight, from.remainder, to.remainder}, from, to, gradient, n,
                  constants);
}

// A streaming store faults where its address is no multiple of the vector's bytes.
template <typename T>
bool can_stream_to(const T* p) {
  return reinterpret_cast<uintptr_t>(p) % (hn::Lanes(F32()) * sizeof(T)) == 0;
}

template <typename T>
void move_span(T* weight, const AdamWState& from, const AdamWState& to, const float* gradient,
               int64_t n, const adamw_detail::Constants& constants) {
  const bool can_stream = can_stream_to(to.m) && can_stream_to(to.v) && can_stream_to(to.remainder);
  if (!can_stream) return update_span<Stores::kCached>(weight, from, to, gradient, n, constants);
  update_span<Stores::kStreamed>(weight, from, to, gradient, n, constants);
  hwy::FlushStream();
}

void update_span_f32(float* weight, const AdamWState& from, const AdamWState& to,
                     const float* gradient, int64_t n, const adamw_detail::Constants& constants) {
  update_span<Stores::kCached>(weight, from, to, gradient, n, constants);
}
void update_span_bf16(bf16* weight, const AdamWState& from, const AdamWState& to,
                      const float* gradient, int64_t n, const adamw_detail::Constants& constants) {
  update_span<Stores::kCached>(weight, from, to, gradient, n, constants);
}
void move_span_f32(float* weight, const AdamWState& from, const AdamWState& to,
                   const float* gradient, int64_t n, const adamw_detail::Constants& constants) {
  move_span(weight, from, to, gradient, n, constants);
}
void move_span_bf16(bf16* weight, const AdamWState& from, const AdamWState& to,
                    const float* gradient, int64_t n, const adamw_detail::Constants& constants) {
  move_span(weight, from, to, gradient, n, constants);
}

}  // namespace HWY_NAMESPACE
}  // namespace borealis
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace borealis {
namespace {
HWY_EXPORT(update_span_f32);
HWY_EXPORT(update_span_bf16);
HWY_EXPORT(move_span_f32);
HWY_EXPORT(move_span_bf16);
HWY_EXPORT(decay_span_f32);
HWY_EXPORT(decay_span_bf16);

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

// By chunks: kernel(weight, from, to, gradient, count, constants).
template <typename T, class Kernel>
void for_each_chunk_of(T* weight, const AdamWState& from, const AdamWState& to,
                       const float* gradient, int64_t n, const AdamWStep& step, Kernel kernel) {
  const auto constants = constants_of(step);
  for_each_chunk(n, kElementChunk, [&](int64_t at, int64_t count) {
    kernel(weight + at, from.at(at), to.at(at), gradient + at, count, constants);
  });
}

}  // namespace

void adamw_update(bf16* weight, uint16_t* remainder, float* m, float* v, const float* gradient,
                  int64_t n, const AdamWStep& step) {
  const AdamWState state{remainder, m, v};
  for_each_chunk_of(weight, state, state, gradient, n, step,
                    HWY_DYNAMIC_DISPATCH(update_span_bf16));
}

void adamw_update(float* weight, float* m, float* v, const float* gradient, int64_t n,
                  const AdamWStep& step) {
  const AdamWState state{nullptr, m, v};
  for_each_chunk_of(weight, state, state, gradient, n, step, HWY_DYNAMIC_DISPATCH(update_span_f32));
}

void adamw_move(bf16* weight, const AdamWState& from, const AdamWState& to, const float* gradient,
                int64_t n, const AdamWStep& step) {
  for_each_chunk_of(weight, from, to, gradient, n, step, HWY_DYNAMIC_DISPATCH(move_span_bf16));
}

void adamw_move(float* weight, const AdamWState& from, const AdamWState& to, const float* gradient,
                int64_t n, const AdamWStep& step) {
  for_each_chunk_of(weight, from, to, gradient, n, step, HWY_DYNAMIC_DISPATCH(move_span_f32));
}

void adamw_decay(bf16* weight, const uint16_t* remainder, uint16_t* to, int64_t n,
                 const AdamWStep& step) {
  const float keep = constants_of(step).keep;
  const auto kernel = HWY_DYNAMIC_DISPATCH(decay_span_bf16);
  for_each_chunk(n, kElementChunk, [&](int64_t at, int64_t count) {
    kernel(weight + at, remainder + at, to + at, count, keep);
  });
}

void adamw_decay(float* weight, int64_t n, const AdamWStep& step) {
  const float keep = constants_of(step).keep;
  const auto kernel = HWY_DYNAMIC_DISPATCH(decay_span_f32);
  for_each_chunk(n, kElementChunk,
                 [&](int64_t at, int64_t count) { kernel(weight + at, count, keep); });
}

}  // namespace borealis
#endif
