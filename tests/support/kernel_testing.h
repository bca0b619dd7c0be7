// What kernel tests share: every SIMD target of this machine, random data, comparisons.
#pragma once

#include <gtest/gtest.h>
#include <hwy/targets.h>
#include <omp.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/random.h"

namespace borealis::testing {

// Restricts Highway to one target for its lifetime.
class ScopedTarget {
 public:
  explicit ScopedTarget(int64_t target) { hwy::SetSupportedTargetsForTest(target); }
  ~ScopedTarget() { hwy::SetSupportedTargetsForTest(0); }
  ScopedTarget(const ScopedTarget&) = delete;
  ScopedTarget& operator=(const ScopedTarget&) = delete;
};

// What this machine can run of what the kernels are compiled for, down to plain C++ on x86.
inline std::vector<int64_t> simd_targets() {
  std::vector<int64_t> targets;
  const int64_t supported = hwy::SupportedTargets();
  for (const int64_t target :
       {int64_t{HWY_AVX3}, int64_t{HWY_AVX2}, int64_t{HWY_SSE4}, int64_t{HWY_NEON}}) {
    if ((supported & target) != 0) targets.push_back(target);
  }
  if ((HWY_TARGETS & HWY_SCALAR) != 0) targets.push_back(HWY_SCALAR);  // Arm's least is NEON
  return targets;
}

template <class Body>
void for_each_target(const Body& body) {
  for (const int64_t target : simd_targets()) {
    const ScopedTarget scope(target);
    SCOPED_TRACE(std::string("Highway target ") + hwy::TargetName(target));
    body();
  }
}

// body() with 1, 2 and 3 threads; restores the number of before.
template <class Body>
void for_each_thread_count(const Body& body) {
  const int before = omp_get_max_threads();
  for (const int threads : {1, 2, 3}) {
    omp_set_num_threads(threads);
    SCOPED_TRACE(std::to_string(threads) + " threads");
    body();
  }
  omp_set_num_threads(before);
}

// N(0, scale^2), representable in T.
template <typename T>
std::vector<T> random_values(int64_t n, uint64_t seed, double scale = 1.0) {
  const RandomStream stream(seed, 0);
  std::vector<T> values(static_cast<size_t>(n));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = T(static_cast<float>(stream.normal(i) * scale));
  }
  return values;
}

template <typename T>
std::vector<double> to_double(const std::vector<T>& values) {
  std::vector<double> wide(values.size());
  std::transform(values.begin(), values.end(), wide.begin(),
                 [](T value) { return static_cast<double>(static_cast<float>(value)); });
  return wide;
}

// Half a unit in the last place of T, relative.
template <typename T>
constexpr double half_ulp() {
  return dtype_of<T>() == DType::kF32 ? 0x1p-24 : 0x1p-8;
}

// |actual - expected| <= relative |expected| + absolute, everywhere. Reports the worst element.
template <typename T>
void expect_close(const std::vector<T>& actual, const std::vector<double>& expected,
                  double relative, double absolute) {
  ASSERT_EQ(actual.size(), expected.size());
  size_t worst = 0;
  double excess = -INFINITY;
  for (size_t i = 0; i < actual.size(); ++i) {
    const double error = std::abs(static_cast<double>(static_cast<float>(actual[i])) - expected[i]);
    const double over = error - relative * std::abs(expected[i]) - absolute;
    if (!(over <= excess)) {
      excess = over;
      worst = i;
    }
    if (std::isnan(over)) break;
  }
  EXPECT_TRUE(actual.empty() || excess <= 0)
      << "element " << worst << " of " << actual.size() << ": " << static_cast<float>(actual[worst])
      << " instead of " << expected[worst];
}

template <typename T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.size() != b.size()) return false;
  return a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

// The distance of two finite floats in representable values.
inline int64_t ulp_distance(float a, float b) {
  const auto order = [](float value) {
    const auto bits = std::bit_cast<int32_t>(value);
    return bits < 0 ? int64_t{INT32_MIN} - bits : int64_t{bits};
  };
  return std::abs(order(a) - order(b));
}

// A copy of the values one element off any alignment that a fresh vector would have.
template <typename T>
struct Misaligned {
  explicit Misaligned(const std::vector<T>& values) : storage(values.size() + 1) {
    std::copy(values.begin(), values.end(), storage.begin() + 1);
  }
  T* data() { return storage.data() + 1; }
  std::vector<T> values() const { return {storage.begin() + 1, storage.end()}; }
  std::vector<T> storage;
};

// d f / d x[i] for all i by central differences; f(x) in double.
template <class Function>
std::vector<double> numerical_gradient(std::vector<double> x, const Function& f) {
  constexpr double kStep = 1e-5;
  std::vector<double> gradient(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const double centre = x[i];
    x[i] = centre + kStep;
    const double above = f(x);
    x[i] = centre - kStep;
    gradient[i] = (above - f(x)) / (2 * kStep);
    x[i] = centre;
  }
  return gradient;
}

inline double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace borealis::testing
