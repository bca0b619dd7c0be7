// Vectors of 512 bits. Every function is called as the instruction is that it stands for; Intel's
// manual ("Intrinsics Guide") says what each does.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <limits>

#include "base/check.h"

namespace borealis::emulated {

using I32 = int32_t __attribute__((vector_size(64)));
using I16 = int16_t __attribute__((vector_size(64)));
using F32 = float __attribute__((vector_size(64)));
// Elements one by one are an array's: g++ 12's checks of a vector's subscripts (UBSan) are wrong.
template <typename T>
using Elements = std::array<T, 64 / sizeof(T)>;

template <typename To, typename From>
To as(const From& from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof(to));
  return to;
}
template <typename V>
V loaded(const void* from) {
  V v;
  std::memcpy(&v, from, sizeof(v));
  return v;
}
template <typename V>
void stored(void* to, const V& v) {
  std::memcpy(to, &v, sizeof(v));
}
inline bool is_aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % 64 == 0; }

// Only the elements of `mask` are touched.
template <typename V, typename T, int kCount>
V masked_load(uint32_t mask, const void* from) {
  T values[kCount] = {};
  for (int i = 0; i < kCount; ++i) {
    if ((mask >> i & 1) != 0) std::memcpy(values + i, static_cast<const T*>(from) + i, sizeof(T));
  }
  return loaded<V>(values);
}
template <typename T, int kCount, typename V>
void masked_store(void* to, uint32_t mask, const V& v) {
  T values[kCount];
  std::memcpy(values, &v, sizeof(values));
  for (int i = 0; i < kCount; ++i) {
    if ((mask >> i & 1) != 0) std::memcpy(static_cast<T*>(to) + i, values + i, sizeof(T));
  }
}

inline __m512 loadu_ps(const void* p) { return loaded<__m512>(p); }
inline __m512i loadu_si512(const void* p) { return loaded<__m512i>(p); }
inline __m256i loadu_si256(const __m256i* p) { return loaded<__m256i>(p); }
inline __m512i load_si512(const void* p) {
  CHECK(is_aligned(p));
  return loaded<__m512i>(p);
}
inline void storeu_ps(void* p, __m512 v) { stored(p, v); }
inline void storeu_si512(void* p, __m512i v) { stored(p, v); }
inline void storeu_si256(__m256i* p, __m256i v) { stored(p, v); }
inline void store_si512(void* p, __m512i v) {
  CHECK(is_aligned(p));
  stored(p, v);
}
inline __m512i maskz_loadu_epi16(__mmask32 mask, const void* p) {
  return masked_load<__m512i, int16_t, 32>(mask, p);
}
inline __m512i maskz_loadu_epi32(__mmask16 mask, const void* p) {
  return masked_load<__m512i, int32_t, 16>(mask, p);
}
inline __m512 maskz_loadu_ps(__mmask16 mask, const void* p) {
  return masked_load<__m512, float, 16>(mask, p);
}
inline void mask_storeu_ps(void* p, __mmask16 mask, __m512 v) {
  masked_store<float, 16>(p, mask, v);
}
inline void mask_storeu_epi16(void* p, __mmask16 mask, __m256i v) {
  masked_store<int16_t, 16>(p, mask, v);
}

inline __m512 castsi512_ps(__m512i v) { return as<__m512>(v); }
inline __m512i castps_si512(__m512 v) { return as<__m512i>(v); }
inline __m256i castsi512_si256(__m512i v) { return loaded<__m256i>(&v); }
inline __m256i extracti64x4_epi64(__m512i v, int half) {
  return loaded<__m256i>(reinterpret_cast<const char*>(&v) + 32 * half);
}

inline __m512 set1_ps(float x) { return x - F32{}; }
inline __m512i set1_epi32(int32_t x) { return as<__m512i>(x - I32{}); }
inline __m512i set1_epi16(int16_t x) { return as<__m512i>(x - I16{}); }
inline __m512 setzero_ps() { return F32{}; }
inline __m512i setzero_si512() { return as<__m512i>(I32{}); }
inline __m512i broadcastd_epi32(__m128i v) { return set1_epi32(_mm_cvtsi128_si32(v)); }

inline __m512 add_ps(__m512 a, __m512 b) { return a + b; }
inline __m512 sub_ps(__m512 a, __m512 b) { return a - b; }
inline __m512 mul_ps(__m512 a, __m512 b) { return a * b; }
// By way of double, whose second rounding is one in 2^29 of a last place.
inline __m512 fmadd_ps(__m512 a, __m512 b, __m512 c) {
  using F64 = double __attribute__((vector_size(128)));
  const auto wide = [](F32 v) { return __builtin_convertvector(v, F64); };
  return __builtin_convertvector(wide(a) * wide(b) + wide(c), F32);
}
inline __m512 fmsub_ps(__m512 a, __m512 b, __m512 c) { return fmadd_ps(a, b, -c); }
// b where either is not a number.
inline __m512 max_ps(__m512 a, __m512 b) { return a > b ? a : b; }
inline float reduce_add_ps(__m512 v) {
  auto sums = as<Elements<float>>(v);
  for (size_t half = 8; half > 0; half /= 2) {
    for (size_t i = 0; i < half; ++i) sums[i] += sums[i + half];
  }
  return sums[0];
}

inline I32 lanes_of(__mmask16 mask) {
  Elements<int32_t> lanes;
  for (size_t i = 0; i < lanes.size(); ++i) lanes[i] = (mask >> i & 1) != 0 ? -1 : 0;
  return as<I32>(lanes);
}
inline __mmask16 mask_of(const I32& vector) {
  const auto lanes = as<Elements<int32_t>>(vector);
  unsigned mask = 0;
  for (size_t i = 0; i < lanes.size(); ++i) mask |= (lanes[i] != 0 ? 1u : 0u) << i;
  return static_cast<__mmask16>(mask);
}
inline __m512 maskz_mov_ps(__mmask16 mask, __m512 v) { return lanes_of(mask) ? v : F32{}; }
inline __m512 mask_max_ps(__m512 other, __mmask16 mask, __m512 a, __m512 b) {
  return lanes_of(mask) ? max_ps(a, b) : other;
}
inline __mmask16 cmp_ps_mask(__m512 a, __m512 b, int how) {
  CHECK(how == _CMP_GT_OQ || how == _CMP_NEQ_OQ);
  if (how == _CMP_GT_OQ) return mask_of(a > b);
  return mask_of((a < b) | (a > b));
}
inline __mmask16 mask_cmple_epi32_mask(__mmask16 mask, __m512i a, __m512i b) {
  return mask & mask_of(as<I32>(a) <= as<I32>(b));
}

inline __m512i add_epi16(__m512i a, __m512i b) { return as<__m512i>(as<I16>(a) + as<I16>(b)); }
inline __m512i add_epi32(__m512i a, __m512i b) {
  using U32 = uint32_t __attribute__((vector_size(64)));
  return as<__m512i>(as<U32>(a) + as<U32>(b));
}
inline __m512i or_si512(__m512i a, __m512i b) { return as<__m512i>(as<I32>(a) | as<I32>(b)); }
inline __m512i slli_epi32(__m512i v, int bits) {
  using U32 = uint32_t __attribute__((vector_size(64)));
  return as<__m512i>(as<U32>(v) << bits);
}
inline __m512i cvtepu16_epi32(__m256i v) {
  const auto halves = as<std::array<uint16_t, 16>>(v);
  Elements<int32_t> words;
  for (size_t i = 0; i < words.size(); ++i) words[i] = halves[i];
  return as<__m512i>(words);
}

// Two operands' elements interleaved within each 128 bits, from kFirst of them on.
template <typename T, size_t kFirst>
__m512i interleaved(__m512i a, __m512i b) {
  constexpr size_t kPerLane = 16 / sizeof(T);
  const Elements<T> from[2] = {as<Elements<T>>(a), as<Elements<T>>(b)};
  Elements<T> to;
  for (size_t i = 0; i < to.size(); ++i) {
    to[i] = from[i % 2][i / kPerLane * kPerLane + kFirst + i % kPerLane / 2];
  }
  return as<__m512i>(to);
}
inline __m512i unpacklo_epi32(__m512i a, __m512i b) { return interleaved<int32_t, 0>(a, b); }
inline __m512i unpackhi_epi32(__m512i a, __m512i b) { return interleaved<int32_t, 2>(a, b); }
inline __m512i unpacklo_epi64(__m512i a, __m512i b) { return interleaved<int64_t, 0>(a, b); }
inline __m512i unpackhi_epi64(__m512i a, __m512i b) { return interleaved<int64_t, 1>(a, b); }
// Two lanes of 128 bits from a, then two from b.
inline __m512i shuffle_i32x4(__m512i a, __m512i b, unsigned lanes) {
  using Lane = std::array<int32_t, 4>;
  using Lanes = std::array<Lane, 4>;
  const Lanes from[2] = {as<Lanes>(a), as<Lanes>(b)};
  Lanes to;
  for (size_t i = 0; i < 4; ++i) to[i] = from[i / 2][lanes >> 2 * i & 3];
  return as<__m512i>(to);
}
inline __m512i permutex2var_epi16(__m512i a, __m512i index, __m512i b) {
  using Halves = Elements<uint16_t>;
  const Halves at = as<Halves>(index), from[2] = {as<Halves>(a), as<Halves>(b)};
  Halves to;
  for (size_t i = 0; i < to.size(); ++i) to[i] = from[at[i] >> 5 & 1][at[i] & 31];
  return as<__m512i>(to);
}
inline __m512i permutexvar_epi16(__m512i index, __m512i v) {
  return permutex2var_epi16(v, index, v);
}

// AVX512-BF16 and AMX take numbers too small for f32's full precision for zero, and make none.
inline F32 flushed(F32 v) {
  const F32 size = as<F32>(as<I32>(v) & 0x7fffffff);
  return size < std::numeric_limits<float>::min() ? F32{} : v;
}
// 16 bf16 in the low halves of words: to nearest, ties to even.
inline I32 rounded_halves(F32 v) {
  const I32 bits = as<I32>(flushed(v));
  const I32 rounded = (bits >> 16) + (((bits & 0xffff) + 0x7fff + (bits >> 16 & 1)) >> 16);
  return (v == v ? rounded : (bits >> 16) | 0x40) & 0xffff;
}
inline void put_halves(F32 v, uint16_t* to) {
  const auto halves = as<Elements<int32_t>>(rounded_halves(v));
  for (size_t i = 0; i < halves.size(); ++i) to[i] = static_cast<uint16_t>(halves[i]);
}
inline __m256bh cvtneps_pbh(__m512 v) {
  uint16_t bits[16];
  put_halves(v, bits);
  return loaded<__m256bh>(bits);
}
inline __m512bh cvtne2ps_pbh(__m512 high, __m512 low) {
  uint16_t bits[32];
  put_halves(low, bits);
  put_halves(high, bits + 16);
  return loaded<__m512bh>(bits);
}
// Sixteen words of two bf16. Their products are exact in f32, so that a product and a sum are one
// fused operation, as the hardware's are.
struct Words {
  F32 low, high;

  explicit Words(__m512i words)
      : low(flushed(as<F32>(slli_epi32(words, 16)))),
        high(flushed(as<F32>(as<I32>(words) & static_cast<int32_t>(0xffff0000)))) {}
};
// The high halves' product is added first.
inline __m512 dpbf16_ps(__m512 sum, __m512bh a, __m512bh b) {
  const Words x(as<__m512i>(a)), y(as<__m512i>(b));
  sum = flushed(flushed(sum) + x.high * y.high);
  return flushed(sum + x.low * y.low);
}

}  // namespace borealis::emulated
