// The head of head_loss.h for CPUs whose bf16 products are our own (product_bf16.h). Logits are
// made transposed, W x^T, by blocks of the vocabulary: rows of W are multiplied as they lie, and
// x^T is packed once. They never reach memory: as soon as a tile of 96 entries by 64 tokens is
// done, it becomes exponentials, against a shift of each token that was settled before. Those stay
//   as p^T [V, tokens] bf16 of the whole vocabulary, for dW, which needs their sums first
//   as p [tokens, block] bf16 of one block, for its part of dx, whose factor can wait
// A token whose maximum rises more than kShiftSlack above its shift gets a new one, and the block
// is made again; what was summed under the old one is scaled.
#pragma once

#include <cstdint>

#include "kernels/head_loss.h"

namespace borealis {

class Bf16Head {
 public:
  static bool fits(const HeadShape& shape);
  static int64_t scratch_floats(const HeadShape& shape, bool backward_follows);

  // scratch: scratch_floats, on a cache line; workspace: of multiply_bf16 for that many threads.
  Bf16Head(const HeadShape& shape, const HeadOperands<bf16>& in, bool backward_follows,
           float* scratch, float* workspace, int threads);

  // Summed loss of rows [row, row + rows), at most chunk(); keeps what backward() needs.
  double forward(int64_t row, int64_t rows);
  // After forward() of the same rows. accumulate: dweight has a value to be added to.
  void backward(int64_t row, int64_t rows, float scale, bf16* dx, float* dweight, bool accumulate);

  int64_t chunk() const { return space_.chunk; }

 private:
  struct Workspace {
    int64_t chunk, blocks;
    int64_t offset = 0;
    int64_t packed_x, shift, sum, target_logit, part_sum, part_max;   // always
    int64_t kept, p, dx, block_shift, factored_x, packed_factored_x;  // where backward follows
    Workspace(const HeadShape& shape, bool backward_follows);
    int64_t take(int64_t floats);
  };
  template <typename T>
  T* at(int64_t offset) const {
    return reinterpret_cast<T*>(scratch_ + offset);
  }

  void settle_shifts();
  void make_block(int64_t first, int64_t entries, bool keeps);
  bool raise_shifts(int64_t first, int64_t entries);
  void sum_block(int64_t first, int64_t entries);
  void finish_kept();
  float target_excess(int64_t t) const;
  void finish_dx(int64_t t, float factor, bf16* dx) const;

  HeadShape shape_;
  HeadOperands<bf16> in_;
  bool backward_follows_;
  float* scratch_;
  float* workspace_;
  int threads_;
  Workspace space_;
  int64_t rows_ = 0, padded_ = 0;  // of the chunk at hand; whole panels of it
  const int32_t* targets_ = nullptr;
};

}  // namespace borealis
