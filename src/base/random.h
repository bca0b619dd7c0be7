// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", SC'11). The value at an index depends on (seed, stream, index) alone, so a tensor can
// be filled by any number of threads or ranks, in any order, with the same bits.
#pragma once

#include <array>
#include <cstdint>
#include <utility>

namespace borealis {

class RandomStream {
 public:
  RandomStream(uint64_t seed, uint64_t stream) : seed_(seed), stream_(stream) {}

  uint64_t seed() const { return seed_; }
  uint64_t stream() const { return stream_; }
  std::array<uint32_t, 4> bits(uint64_t index) const;  // 128 random bits
  double uniform(uint64_t index) const;                // in (0, 1), 53 bits
  // Two independent values of mean 0 and variance 1 (Box-Muller).
  std::pair<double, double> normal_pair(uint64_t index) const;
  double normal(uint64_t index) const;  // of normal_pair(index / 2), the first or the second
  uint32_t below(uint64_t index, uint32_t bound) const;  // in [0, bound), bound > 0

 private:
  uint64_t seed_;
  uint64_t stream_;
};

}  // namespace borealis
