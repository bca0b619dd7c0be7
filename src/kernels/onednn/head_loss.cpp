#include "kernels/head_loss.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/rounding.h"
#include "kernels/cpu/head_bf16.h"
#include "kernels/cross_entropy.h"
#include "kernels/elementwise.h"

namespace borealis {
namespace {

constexpr int64_t kTokenChunk = 1024;
// About 256 MiB of f32 logits at most, or 512 MiB of bf16 exponentials. On native bf16 the products
// are so fast that dW's traffic shows: with V = 256000, chunks of 262 tokens reach 76 % of the GEMM
// rate, chunks of 1024 89 %.
constexpr int64_t kKeptLogits = int64_t{64} << 20, kKeptExponentials = int64_t{256} << 20;
// Small enough that a widened block, and oneDNN's copies of its panels, stay in cache.
constexpr int64_t kWideWeightFloats = int64_t{4} << 20, kMostWideColumns = 8192;
// Native bf16: the f32 logits of a block stay in the cache between their product and their
// exponentials; gradients are bf16 already, and wider blocks read and write dx less often.
constexpr int64_t kNativeVocabBlock = 1024, kNativeGradientBlocks = 8;

int64_t vocab_block(ProductMode mode, const HeadShape& shape) {
  const int64_t block = mode == ProductMode::kBF16WidenedToF32
                            ? std::clamp<int64_t>(kWideWeightFloats / shape.hidden_size / 16 * 16,
                                                  64, kMostWideColumns)
                            : kNativeVocabBlock;
  return std::min(block, shape.vocab_size);
}

// The buffers of one chunk, carved from the scratch; only what the mode needs has a size. Native
// bf16 keeps its exponentials by gradient blocks, each [chunk][kept_ld].
struct Workspace {
  int64_t chunk, block;
  int64_t gradient_block;  // columns of one product with the gradients
  bool keeps_logits;       // of the whole vocabulary
  int64_t logits_ld, kept_ld, wide_ld;
  int64_t offset = 0;
  int64_t logits, row_shift, row_sum, target_logit, wide_x, wide_weight, dx;
  int64_t kept, block_shift, row_factor, factored_x;  // native bf16

  Workspace(ProductMode mode, const HeadShape& shape, bool backward_follows)
      : chunk(backward_follows ? head_token_chunk(mode, shape) : std::min(shape.rows, kTokenChunk)),
        block(vocab_block(mode, shape)) {
    const bool widen = mode == ProductMode::kBF16WidenedToF32;
    const bool native = mode == ProductMode::kBF16Native && backward_follows;
    gradient_block = native ? std::min(kNativeGradientBlocks * block, shape.vocab_size) : block;
    // Native bf16, and a forward pass alone, need the f32 logits of one block only.
    keeps_logits = backward_follows && !native;
    // Rows of logits and of what is widened or kept are padded: oneDNN is slower on power-of-two
    // rows and, of large products, on dense ones (linear.cpp). A block alone is padded as well, so
    // that a forward pass has the bits of a training step.
    logits_ld = (keeps_logits ? shape.vocab_size : block) + kRowPadding;
    kept_ld = gradient_block + kRowPadding;
    wide_ld = shape.hidden_size + kRowPadding;
    logits = take(chunk * logits_ld);
    row_shift = take(chunk);
    row_sum = take(chunk);
    target_logit = take(chunk);
    wide_x = take(widen ? chunk * wide_ld : 0);
    wide_weight = take(widen ? block * wide_ld : 0);
    dx = take(mode == ProductMode::kF32 || !backward_follows ? 0 : chunk * shape.hidden_size);
    const int64_t gradient_blocks = divide_up(shape.vocab_size, gradient_block);
    kept = take(native ? (chunk * kept_ld * gradient_blocks + 1) / 2 : 0);  // bf16
    block_shift = take(native ? chunk * divide_up(shape.vocab_size, block) : 0);
    row_factor = take(native ? chunk : 0);
    factored_x = take(native ? (chunk * shape.hidden_size + 1) / 2 : 0);  // bf16
  }
  int64_t take(int64_t floats) {
    const int64_t at = offset;
    offset += round_up(floats, 16);
    return at;
  }
};

template <typename T>
class ChunkedHead {
 public:
  ChunkedHead(LinearEngine& engine, const HeadShape& shape, const HeadOperands<T>& in,
              float* scratch, bool backward_follows)
      : engine_(engine),
        shape_(shape),
        in_(in),
        scratch_(scratch),
        backward_follows_(backward_follows),
        space_(engine.mode(), shape, backward_follows) {}

  int64_t chunk() const { return space_.chunk; }
  int64_t block() const { return space_.block; }

  // Fills the softmax statistics of rows [row, row + rows) and what a backward pass needs of their
  // logits; returns their summed loss.
  double forward(int64_t row, int64_t rows) {
    float* row_shift = at(space_.row_shift);
    float* row_sum = at(space_.row_sum);
    float* target_logit = at(space_.target_logit);
    std::fill_n(row_shift, rows, -std::numeric_limits<float>::infinity());
    std::fill_n(row_sum, rows, 0.0f);
    widen_x(row, rows);
    for (int64_t first = 0; first < shape_.vocab_size; first += space_.block) {
      const int64_t cols = std::min(space_.block, shape_.vocab_size - first);
      float* logits = at(space_.logits) + (space_.keeps_logits ? first : 0);
      const int64_t ld = space_.logits_ld;
      multiply_logits(row, rows, first, cols, logits, ld);
      if (native() && backward_follows_) {
        online_softmax_update_keeping(logits, rows, cols, ld, kept(first), space_.kept_ld,
                                      row_shift, row_sum, block_shift(first));
      } else {
        online_softmax_update(logits, rows, cols, ld, row_shift, row_sum);
      }
      gather_target_logits(logits, rows, cols, ld, in_.targets + row, first, target_logit);
    }
    double loss = 0;
    for (int64_t r = 0; r < rows; ++r) {
      if (in_.targets[row + r] == kNoTarget) continue;
      loss += static_cast<double>(row_shift[r]) + std::log(static_cast<double>(row_sum[r])) -
              static_cast<double>(target_logit[r]);
    }
    return loss;
  }

  // After forward() of the same rows. accumulate: dweight has a value to be added to.
  void backward(int64_t row, int64_t rows, float scale, T* dx, float* dweight, bool accumulate) {
    const int64_t D = shape_.hidden_size;
    float* wide_dx = wide_gradient(dx + row * D);
    if (native()) factor_x(row, rows, scale);
    for (int64_t first = 0; first < shape_.vocab_size; first += space_.gradient_block) {
      const int64_t cols = std::min(space_.gradient_block, shape_.vocab_size - first);
      const int32_t* targets = in_.targets + row;
      if (native()) {
        gradient_from_kept(row, rows, first, cols);
      } else {
        cross_entropy_gradient(at(space_.logits) + first, rows, cols, space_.logits_ld,
                               at(space_.row_shift), at(space_.row_sum), targets, first, scale);
      }
      multiply_gradients(row, rows, first, cols, wide_dx, dweight + first * D, accumulate);
    }
    if constexpr (std::is_same_v<T, bf16>) {
      if (native()) {
        scale_rows(wide_dx, at(space_.row_factor), dx + row * D, rows, D);
      } else {
        convert(wide_dx, dx + row * D, rows * D);
      }
    }
  }

  void multiply_logits(int64_t row, int64_t rows, int64_t first, int64_t cols, float* logits,
                       int64_t ld) {
    const int64_t D = shape_.hidden_size;
    const T* weight = in_.weight + first * D;
    if (widened()) {
      engine_.product(rows, cols, D, at(space_.wide_x), space_.wide_ld, kNo,
                      widen_weight(weight, cols), space_.wide_ld, kYes, logits, ld, false);
    } else {
      engine_.product(rows, cols, D, in_.x + row * D, D, kNo, weight, D, kYes, logits, ld, false);
    }
  }

  void widen_x(int64_t row, int64_t rows) {
    if constexpr (std::is_same_v<T, bf16>) {
      if (widened()) {
        const int64_t D = shape_.hidden_size;
        convert_rows(in_.x + row * D, D, at(space_.wide_x), space_.wide_ld, rows, D);
      }
    }
  }

 private:
  // Native bf16: gradients of the logits lack a factor of their row. dW takes it from x, and dx
  // gets it at the end, so that no pass over the logits is needed for it.
  void factor_x(int64_t row, int64_t rows, float scale) {
    float* factor = at(space_.row_factor);
    for (int64_t r = 0; r < rows; ++r) {
      factor[r] = in_.targets[row + r] == kNoTarget ? 0.0f : scale / at(space_.row_sum)[r];
    }
    if constexpr (std::is_same_v<T, bf16>) {
      const int64_t D = shape_.hidden_size;
      scale_rows(in_.x + row * D, factor, factored_x(), rows, D);
    }
  }

  void gradient_from_kept(int64_t row, int64_t rows, int64_t begin, int64_t columns) {
    for (int64_t first = begin; first < begin + columns; first += space_.block) {
      cross_entropy_gradient_from_kept(
          kept(first), rows, std::min(space_.block, begin + columns - first), space_.kept_ld,
          block_shift(first), at(space_.row_shift), at(space_.row_sum), at(space_.target_logit),
          in_.targets + row, first);
    }
  }

  static constexpr auto kNo = LinearEngine::Transpose::kNo;
  static constexpr auto kYes = LinearEngine::Transpose::kYes;

  bool widened() const { return engine_.mode() == ProductMode::kBF16WidenedToF32; }
  bool native() const { return engine_.mode() == ProductMode::kBF16Native; }
  bf16* kept(int64_t first) const {
    const int64_t block = first / space_.gradient_block;
    return reinterpret_cast<bf16*>(at(space_.kept)) + block * space_.chunk * space_.kept_ld +
           first % space_.gradient_block;
  }
  float* block_shift(int64_t first) const {
    return at(space_.block_shift) + first / space_.block * space_.chunk;
  }
  bf16* factored_x() const { return reinterpret_cast<bf16*>(at(space_.factored_x)); }
  float* at(int64_t offset) const { return scratch_ + offset; }

  const float* widen_weight(const T* weight, int64_t cols) {
    if constexpr (std::is_same_v<T, bf16>) {
      const int64_t D = shape_.hidden_size;
      convert_rows(weight, D, at(space_.wide_weight), space_.wide_ld, cols, D);
    }
    return at(space_.wide_weight);
  }

  // dx sums over the vocabulary blocks in f32.
  float* wide_gradient(T* dx) {
    if constexpr (std::is_same_v<T, float>) return dx;
    return at(space_.dx);
  }

  void multiply_gradients(int64_t row, int64_t rows, int64_t first, int64_t cols, float* dx,
                          float* dweight, bool accumulate) {
    const int64_t D = shape_.hidden_size, logits_ld = space_.logits_ld;
    const T* x = in_.x + row * D;
    const T* weight = in_.weight + first * D;
    const float* gradient = at(space_.logits) + first;  // not in native bf16
    const bool add = first > 0;
    if constexpr (std::is_same_v<T, float>) {
      engine_.product(rows, D, cols, gradient, logits_ld, kNo, weight, D, kNo, dx, D, add);
      engine_.product(cols, D, rows, gradient, logits_ld, kYes, x, D, kNo, dweight, D, accumulate);
    } else if (widened()) {
      engine_.product(rows, D, cols, gradient, logits_ld, kNo, widen_weight(weight, cols),
                      space_.wide_ld, kNo, dx, D, add);
      engine_.product(cols, D, rows, gradient, logits_ld, kYes, at(space_.wide_x), space_.wide_ld,
                      kNo, dweight, D, accumulate);
    } else {
      const int64_t ld = space_.kept_ld;
      engine_.product(rows, D, cols, kept(first), ld, kNo, weight, D, kNo, dx, D, add);
      engine_.product(cols, D, rows, kept(first), ld, kYes, factored_x(), D, kNo, dweight, D,
                      accumulate);
    }
  }

  LinearEngine& engine_;
  HeadShape shape_;
  HeadOperands<T> in_;
  float* scratch_;
  bool backward_follows_;
  Workspace space_;
};

bool own_head(ProductMode mode, const HeadShape& shape) {
  return mode == ProductMode::kBF16Native && Bf16Head::fits(shape);
}

int64_t own_floats(ProductMode mode, const HeadShape& shape, ProductChoice products,
                   bool backward_follows) {
  if (products == ProductChoice::kLibrary || !own_head(mode, shape)) return 0;
  return Bf16Head::scratch_floats(shape, backward_follows);
}

// use(head) of the head that serves the engine.
template <typename T, class Use>
double with_head(LinearEngine& engine, const HeadShape& shape, const HeadOperands<T>& in,
                 float* scratch, bool backward_follows, const Use& use) {
  if constexpr (std::is_same_v<T, bf16>) {
    if (engine.own_workspace() != nullptr && own_head(engine.mode(), shape)) {
      Bf16Head head(shape, in, backward_follows, scratch, engine.own_workspace(), engine.threads());
      return use(head);
    }
  }
  ChunkedHead<T> head(engine, shape, in, scratch, backward_follows);
  return use(head);
}

}  // namespace

int64_t head_token_chunk(ProductMode mode, const HeadShape& shape) {
  const int64_t kept = mode == ProductMode::kBF16Native ? kKeptExponentials : kKeptLogits;
  const int64_t fitting = std::max<int64_t>(kept / shape.vocab_size / 64 * 64, 128);
  return std::min({shape.rows, kTokenChunk, fitting});
}

int64_t head_scratch_floats(ProductMode mode, const HeadShape& shape, ProductChoice products) {
  const int64_t own = own_floats(mode, shape, products, true);
  return own > 0 ? std::max(own, head_forward_scratch_floats(mode, shape, products))
                 : Workspace(mode, shape, true).offset;
}

int64_t head_forward_scratch_floats(ProductMode mode, const HeadShape& shape,
                                    ProductChoice products) {
  // head_logits is never our own.
  return std::max(Workspace(mode, shape, false).offset, own_floats(mode, shape, products, false));
}

template <typename T>
double head_loss_forward(LinearEngine& engine, const HeadShape& shape, const HeadOperands<T>& in,
                         float* scratch) {
  return with_head(engine, shape, in, scratch, false, [&](auto& head) {
    double loss = 0;
    for (int64_t row = 0; row < shape.rows; row += head.chunk()) {
      loss += head.forward(row, std::min(head.chunk(), shape.rows - row));
    }
    return loss;
  });
}

template <typename T>
double head_loss_forward_backward(LinearEngine& engine, const HeadShape& shape,
                                  const HeadOperands<T>& in, float scale, T* dx, float* dweight,
                                  bool accumulate, float* scratch) {
  return with_head(engine, shape, in, scratch, true, [&](auto& head) {
    double loss = 0;
    for (int64_t row = 0; row < shape.rows; row += head.chunk()) {
      const int64_t rows = std::min(head.chunk(), shape.rows - row);
      loss += head.forward(row, rows);
      head.backward(row, rows, scale, dx, dweight, accumulate || row > 0);
    }
    return loss;
  });
}

template <typename T>
void head_logits(LinearEngine& engine, const HeadShape& shape, const T* x, const T* weight,
                 float* logits, float* scratch) {
  ChunkedHead<T> head(engine, shape, {x, weight, nullptr}, scratch, false);
  for (int64_t row = 0; row < shape.rows; row += head.chunk()) {
    const int64_t rows = std::min(head.chunk(), shape.rows - row);
    head.widen_x(row, rows);
    for (int64_t first = 0; first < shape.vocab_size; first += head.block()) {
      const int64_t cols = std::min(head.block(), shape.vocab_size - first);
      head.multiply_logits(row, rows, first, cols, logits + row * shape.vocab_size + first,
                           shape.vocab_size);
    }
  }
}

template double head_loss_forward(LinearEngine&, const HeadShape&, const HeadOperands<float>&,
                                  float*);
template double head_loss_forward(LinearEngine&, const HeadShape&, const HeadOperands<bf16>&,
                                  float*);
template double head_loss_forward_backward(LinearEngine&, const HeadShape&,
                                           const HeadOperands<float>&, float, float*, float*, bool,
                                           float*);
template double head_loss_forward_backward(LinearEngine&, const HeadShape&,
                                           const HeadOperands<bf16>&, float, bf16*, float*, bool,
                                           float*);
template void head_logits(LinearEngine&, const HeadShape&, const float*, const float*, float*,
                          float*);
template void head_logits(LinearEngine&, const HeadShape&, const bf16*, const bf16*, float*,
                          float*);

}  // namespace borealis
