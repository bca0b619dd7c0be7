// The reduction behind the global gradient norm.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace borealis {

// Numbers added up pairwise, as the nodes of a binary tree: what 2^k of them from a multiple of 2^k
// on add up to is a node, whoever adds them up, so that ranks that each have a part of the numbers
// come to the bits of one that has them all.
class PairwiseSum {
 public:
  void add(double value) {
    ++count_;
    for (uint64_t rest = count_; rest % 2 == 0; rest /= 2) value = nodes_[--depth_] + value;
    nodes_[depth_++] = value;
  }
  double total() const {
    double sum = 0;
    for (size_t i = depth_; i > 0; --i) sum = nodes_[i - 1] + sum;
    return sum;
  }

 private:
  std::array<double, 64> nodes_{};  // of different sizes, the largest first
  size_t depth_ = 0;
  uint64_t count_ = 0;
};

// sum of x[i]^2, accumulated in f64: the PairwiseSum of the sums of blocks of kSumBlock elements.
// The same bits for any number of threads. NaN and infinity come through.
constexpr int64_t kSumBlock = 1024;
double sum_of_squares(const float* x, int64_t n);
// Of rows [row_size] of a matrix, in this order: the PairwiseSum of their sums.
double sum_of_squares_of_rows(const float* matrix, std::span<const int32_t> rows, int64_t row_size);

}  // namespace borealis
