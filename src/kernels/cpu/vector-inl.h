// Loads, stores and loops that the memory-bound kernels share: T is float or bf16 in memory and f32
// in registers. Included once per Highway target, hence no ordinary include guard.
//
// The last columns of a row go through the same vector code as the others, padded, never through a
// scalar twin: an element's bits then do not depend on where a partition or a row happens to end.
#if defined(BOREALIS_VECTOR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef BOREALIS_VECTOR_INL_H_
#undef BOREALIS_VECTOR_INL_H_
#else
#define BOREALIS_VECTOR_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>
#include <type_traits>

#include "base/dtype.h"

HWY_BEFORE_NAMESPACE();
namespace borealis {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::ScalableTag<float>;
using F32Vec = hn::Vec<F32>;

// How many lanes of a vector are in memory.
struct Full {};
struct Partial {
  size_t count;  // 1 .. Lanes - 1
};

HWY_INLINE F32Vec widen(F32 d, hn::Vec<hn::Rebind<uint16_t, F32>> bits) {
  const hn::RebindToUnsigned<F32> du32;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du32, bits)));
}

// The bf16 nearest to each lane (ties to even; NaN stays NaN, made quiet), in the upper halves.
HWY_INLINE hn::Vec<hn::RebindToUnsigned<F32>> round_bits(F32Vec v) {
  const hn::RebindToUnsigned<F32> du32;
  const auto word = hn::BitCast(du32, v);
  const auto odd = hn::And(hn::ShiftRight<16>(word), hn::Set(du32, 1u));
  const auto rounded = hn::Add(word, hn::Add(odd, hn::Set(du32, 0x7fffu)));
  const auto quiet = hn::Or(word, hn::Set(du32, 0x400000u));
  return hn::IfThenElse(hn::RebindMask(du32, hn::IsNaN(v)), quiet, rounded);
}

HWY_INLINE hn::Vec<hn::Rebind<uint16_t, F32>> narrow(F32Vec v) {
  const hn::Rebind<uint16_t, F32> du16;
  const hn::RebindToSigned<F32> di32;
  return hn::DemoteTo(du16, hn::BitCast(di32, hn::ShiftRight<16>(round_bits(v))));
}

HWY_INLINE F32Vec load(F32 d, const float* p, Full) { return hn::LoadU(d, p); }
HWY_INLINE F32Vec load(F32 d, const bf16* p, Full) {
  return widen(d, hn::LoadU(hn::Rebind<uint16_t, F32>(), &p->bits));
}
HWY_INLINE void store(F32 d, F32Vec v, float* p, Full) { hn::StoreU(v, d, p); }
HWY_INLINE void store(F32, F32Vec v, bf16* p, Full) {
  hn::StoreU(narrow(v), hn::Rebind<uint16_t, F32>(), &p->bits);
}

using Words = hn::Rebind<uint16_t, F32>;
using U32 = hn::RebindToUnsigned<F32>;

// 16-bit words as they are, in lanes of 32 bits.
HWY_INLINE hn::Vec<U32> load_words(U32 d, const uint16_t* p, Full) {
  return hn::PromoteTo(d, hn::LoadU(Words(), p));
}
HWY_INLINE void store_words(hn::Vec<U32> v, uint16_t* p, Full) {
  hn::StoreU(hn::DemoteTo(Words(), hn::BitCast(hn::RebindToSigned<F32>(), v)), Words(), p);
}
HWY_INLINE hn::Vec<U32> load_words(U32 d, const uint16_t* p, Partial width) {
  HWY_ALIGN uint16_t padded[hn::MaxLanes(F32())] = {};
  for (size_t k = 0; k < width.count; ++k) padded[k] = p[k];
  return load_words(d, padded, Full{});
}
HWY_INLINE void store_words(hn::Vec<U32> v, uint16_t* p, Partial width) {
  HWY_ALIGN uint16_t padded[hn::MaxLanes(F32())];
  store_words(v, padded, Full{});
  for (size_t k = 0; k < width.count; ++k) p[k] = padded[k];
}

// Past the caches, to memory that nobody will read soon; whole vectors to addresses that are a
// multiple of theirs. FlushStream() before another thread reads it.
HWY_INLINE void stream(F32 d, F32Vec v, float* p, Full) { hn::Stream(v, d, p); }
HWY_INLINE void stream_words(hn::Vec<U32> v, uint16_t* p, [[maybe_unused]] Full width) {
#if HWY_MAX_BYTES >= 32
  hn::Stream(hn::DemoteTo(Words(), hn::BitCast(hn::RebindToSigned<F32>(), v)), Words(), p);
#else  // a streaming store has 16 bytes, of which the words of four lanes fill half
  store_words(v, p, width);
#endif
}

// Lanes beyond the count read as zero.
template <typename T>
HWY_INLINE F32Vec load(F32 d, const T* p, Partial width) {
  HWY_ALIGN T padded[hn::MaxLanes(F32())] = {};
  for (size_t k = 0; k < width.count; ++k) padded[k] = p[k];
  return load(d, padded, Full{});
}
template <typename T>
HWY_INLINE void store(F32 d, F32Vec v, T* p, Partial width) {
  HWY_ALIGN T padded[hn::MaxLanes(F32())];
  store(d, v, padded, Full{});
  for (size_t k = 0; k < width.count; ++k) p[k] = padded[k];
}

HWY_INLINE void stream(F32 d, F32Vec v, float* p, Partial width) { store(d, v, p, width); }
HWY_INLINE void stream_words(hn::Vec<U32> v, uint16_t* p, Partial width) {
  store_words(v, p, width);
}

// The f32 value that v has after it was stored as T.
template <typename T>
HWY_INLINE F32Vec round_to(F32 d, F32Vec v) {
  if constexpr (std::is_same_v<T, float>) {
    return v;
  } else {
    const hn::RebindToUnsigned<F32> du32;
    return hn::BitCast(d, hn::And(round_bits(v), hn::Set(du32, 0xffff0000u)));
  }
}

// Calls body(i, width) for the vectors that cover [0, n).
template <class Body>
HWY_INLINE void for_columns(F32 d, int64_t n, const Body& body) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) body(i, Full{});
  if (i < n) body(i, Partial{static_cast<size_t>(n - i)});
}

// Reduces [0, n) with term(i, width, accumulator) -> accumulator, in four chains so that the
// latency of an addition does not set the pace. The terms of padding must be neutral. `start` is
// where each chain begins, merge(a, b) joins two; Sum is a vector or a few of them.
template <class Sum, class Term, class Merge>
HWY_INLINE Sum reduce_columns(F32 d, int64_t n, Sum start, const Term& term, const Merge& merge) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  auto a0 = start, a1 = start, a2 = start, a3 = start;
  int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    a0 = term(i, Full{}, a0);
    a1 = term(i + lanes, Full{}, a1);
    a2 = term(i + 2 * lanes, Full{}, a2);
    a3 = term(i + 3 * lanes, Full{}, a3);
  }
  for (; i + lanes <= n; i += lanes) a0 = term(i, Full{}, a0);
  if (i < n) a1 = term(i, Partial{static_cast<size_t>(n - i)}, a1);
  return merge(merge(a0, a1), merge(a2, a3));
}

template <class Term>
HWY_INLINE float sum_columns(F32 d, int64_t n, const Term& term) {
  const auto add_vectors = [](F32Vec a, F32Vec b) HWY_ATTR { return hn::Add(a, b); };
  return hn::GetLane(hn::SumOfLanes(d, reduce_columns(d, n, hn::Zero(d), term, add_vectors)));
}

// exp(x) within 2 ulp where -86.9 <= x; 0 below (the result would be under 2e-38), infinity above
// 88.72, NaN for NaN. With x = n ln 2 + r, |r| <= ln 2 / 2: 2^(n-1) times a polynomial for 2 exp(r)
// (Cephes' coefficients, doubled); the 2 keeps 2^(n-1) finite up to the largest result.
HWY_INLINE F32Vec exp_f32(F32 d, F32Vec x) {
  const hn::RebindToSigned<F32> di32;
  // Adding 1.5 * 2^23 leaves the nearest integer in the low bits.
  const auto magic = hn::Set(d, 12582912.0f);
  const auto below_overflow = hn::Min(x, hn::Set(d, 89.0f));
  const auto shifted = hn::MulAdd(below_overflow, hn::Set(d, 1.44269504f), magic);
  const auto n = hn::Sub(shifted, magic);
  // ln 2 in two parts, the first short enough that n times it is exact.
  auto r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), x);
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);

  const auto r2 = hn::Mul(r, r);
  const auto p01 =
      hn::MulAdd(hn::Set(d, 2 * 1.6666665459e-1f), r, hn::Set(d, 2 * 5.0000001201e-1f));
  const auto p23 =
      hn::MulAdd(hn::Set(d, 2 * 8.3334519073e-3f), r, hn::Set(d, 2 * 4.1665795894e-2f));
  const auto p45 =
      hn::MulAdd(hn::Set(d, 2 * 1.9875691500e-4f), r, hn::Set(d, 2 * 1.3981999507e-3f));
  const auto tail = hn::MulAdd(hn::MulAdd(p45, r2, p23), r2, p01);
  const auto twice = hn::Add(hn::MulAdd(tail, r2, hn::Add(r, r)), hn::Set(d, 2.0f));

  const auto exponent = hn::ShiftLeft<23>(hn::BitCast(di32, shifted));
  const auto scale = hn::BitCast(d, hn::Add(exponent, hn::Set(di32, 126 << 23)));
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -86.9f)), hn::Mul(twice, scale));
}

// Lanes from `count` on become `value`, for reductions where zero is not neutral.
HWY_INLINE F32Vec fill_padding(F32, F32Vec v, Full, float) { return v; }
HWY_INLINE F32Vec fill_padding(F32 d, F32Vec v, Partial width, float value) {
  return hn::IfThenElse(hn::FirstN(d, width.count), v, hn::Set(d, value));
}

}  // namespace HWY_NAMESPACE
}  // namespace borealis
HWY_AFTER_NAMESPACE();

#endif
