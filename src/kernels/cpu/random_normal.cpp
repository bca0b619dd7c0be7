#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/random_normal.cpp"
// clang-format off
#include "kernels/cpu/targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>
// clang-format on

#include "kernels/random_normal.h"

#include <algorithm>
#include <numbers>

#include "base/dtype.h"
#include "kernels/elementwise.h"

HWY_BEFORE_NAMESPACE();
namespace borealis {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using U64 = hn::ScalableTag<uint64_t>;
using F64 = hn::ScalableTag<double>;
using Words = hn::Vec<U64>;  // 32 bits of a counter in the lower half of each lane

// Constructors that a compiler makes itself are not for the target.
struct Philox {
  Words word[4];
  HWY_INLINE Philox() {}
  HWY_INLINE Philox(Words w0, Words w1, Words w2, Words w3) : word{w0, w1, w2, w3} {}
};
// Worked on side by side: the rounds of one are a chain, each waiting for the last.
constexpr int kVectors = 4;

HWY_INLINE Words product(uint32_t factor, Words words) {
  const U64 d;
#if HWY_TARGET == HWY_SCALAR  // no vector of two halves
  return hn::Set(d, factor * hn::GetLane(words));
#else
  const hn::Repartition<uint32_t, U64> d32;
  return hn::MulEven(hn::BitCast(d32, hn::Set(d, factor)), hn::BitCast(d32, words));
#endif
}
HWY_INLINE Words low(Words words) { return hn::And(words, hn::Set(U64(), 0xFFFFFFFFu)); }

// RandomStream::bits of the counters index, index + 1, ...
HWY_INLINE void philox(uint64_t seed, uint64_t stream, uint64_t index, Philox (&p)[kVectors]) {
  const U64 d;
  for (int v = 0; v < kVectors; ++v) {
    const Words counter = hn::Iota(d, index + static_cast<uint64_t>(v) * hn::Lanes(d));
    p[v] = {low(counter), hn::ShiftRight<32>(counter), hn::Set(d, stream & 0xFFFFFFFFu),
            hn::Set(d, stream >> 32)};
  }
  auto key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    for (Philox& q : p) {
      const Words p0 = product(0xD2511F53u, q.word[0]), p1 = product(0xCD9E8D57u, q.word[2]);
      q = {hn::Xor(hn::Xor(hn::ShiftRight<32>(p1), q.word[1]), hn::Set(d, key0)), low(p1),
           hn::Xor(hn::Xor(hn::ShiftRight<32>(p0), q.word[3]), hn::Set(d, key1)), low(p0)};
    }
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}

// The upper 53 bits of (high, low), in (0, 1).
HWY_INLINE hn::Vec<F64> unit_interval(Words high, Words low_words) {
  const F64 d;
  const hn::RebindToSigned<F64> di;
  const auto mantissa = hn::ShiftRight<11>(hn::Or(hn::ShiftLeft<32>(high), low_words));
  const auto value = hn::ConvertTo(d, hn::BitCast(di, mantissa));
  return hn::Mul(hn::Add(value, hn::Set(d, 0.5)), hn::Set(d, 0x1p-53));
}

}  // namespace

// Box and Muller 1958: even numbers are radius * cos(angle), odd ones radius * sin(angle). even_odd
// has room for whole vectors.
void normal_pairs(uint64_t seed, uint64_t stream, uint64_t first_pair, int64_t pairs, double stddev,
                  float* even_odd) {
  const F64 d;
  const hn::Rebind<float, F64> d32;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t at = 0; at < pairs; at += kVectors * lanes) {
    Philox random[kVectors];
    philox(seed, stream, first_pair + static_cast<uint64_t>(at), random);
    for (int v = 0; v < kVectors; ++v) {
      const Words(&word)[4] = random[v].word;
      const auto u = unit_interval(word[0], word[1]);
      const auto angle = hn::Mul(hn::Set(d, 2 * std::numbers::pi), unit_interval(word[2], word[3]));
      const auto radius =
          hn::Mul(hn::Sqrt(hn::Mul(hn::Set(d, -2.0), hn::Log(d, u))), hn::Set(d, stddev));
      const auto even = hn::DemoteTo(d32, hn::Mul(radius, hn::Cos(d, angle)));
      const auto odd = hn::DemoteTo(d32, hn::Mul(radius, hn::Sin(d, angle)));
      hn::StoreInterleaved2(even, odd, d32, even_odd + 2 * (at + v * lanes));
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace borealis
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace borealis {
namespace {
HWY_EXPORT(normal_pairs);
constexpr int64_t kPairsAtATime = 1024;
}  // namespace

template <typename T>
void fill_normal(const RandomStream& random, double stddev, int64_t first, T* values,
                 int64_t size) {
  const auto kernel = HWY_DYNAMIC_DISPATCH(normal_pairs);
  const int64_t skipped = first % 2;  // of the first pair
  const int64_t first_pair = first / 2, pairs = (skipped + size + 1) / 2;
#pragma omp parallel for schedule(static)
  for (int64_t at = 0; at < pairs; at += kPairsAtATime) {
    float numbers[2 * kPairsAtATime];
    kernel(random.seed(), random.stream(), static_cast<uint64_t>(first_pair + at),
           std::min(kPairsAtATime, pairs - at), stddev, numbers);
    const int64_t from = at == 0 ? skipped : 0;
    const int64_t to = 2 * at + from - skipped;
    const int64_t count = std::min(2 * kPairsAtATime - from, size - to);
    if constexpr (std::is_same_v<T, bf16>) {
      convert(numbers + from, values + to, count);
    } else {
      std::copy_n(numbers + from, count, values + to);
    }
  }
}

template void fill_normal(const RandomStream&, double, int64_t, float*, int64_t);
template void fill_normal(const RandomStream&, double, int64_t, bf16*, int64_t);

}  // namespace borealis
#endif
