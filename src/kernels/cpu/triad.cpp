#include "kernels/triad.h"

#include <algorithm>
#include <chrono>

#include "base/memory.h"

namespace borealis {
namespace {

constexpr int64_t kElements = int64_t{1} << 24;
constexpr int kPasses = 30;

void triad(float* a, const float* b, const float* c) {
#pragma omp parallel for simd schedule(static)
  for (int64_t i = 0; i < kElements; ++i) a[i] = b[i] + 0.5f * c[i];
}

}  // namespace

int64_t triad_bytes() { return 3 * kElements * static_cast<int64_t>(sizeof(float)); }

double measure_triad_bytes_per_s() {
  using Clock = std::chrono::steady_clock;
  const PageBuffer memory(static_cast<size_t>(triad_bytes()), "the bandwidth measurement");
  float* a = reinterpret_cast<float*>(memory.data());
  float* b = a + kElements;
  float* c = b + kElements;
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto start = Clock::now();
    triad(a, b, c);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, static_cast<double>(triad_bytes()) / seconds);
  }
  return best;
}

}  // namespace borealis
