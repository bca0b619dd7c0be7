// Products of a linear layer y = x W^T, with W [N, K] as Hugging Face stores it ([out, in]).
//   M rows (tokens), N outputs, K inputs; all matrices row-major and dense unless a leading
//   dimension is given. T is float or bf16; accumulation is always f32.
//
// How bf16 is multiplied depends on the CPU (product_mode): with AVX512-BF16 or AMX, as it is, by
// our own products (cpu/product_bf16.h) or oneDNN's; elsewhere oneDNN has no bf16 products (or slow
// ones), so blocks are widened to f32 in a scratch that stays in cache, and results are rounded
// once. All are the same mathematics.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/dtype.h"
#include "base/memory.h"
#include "kernels/result_epilogue.h"

namespace borealis {

enum class ProductMode { kF32, kBF16Native, kBF16WidenedToF32 };
ProductMode product_mode(DType dtype);  // of this CPU, after limit_cpu_isa

struct LinearShape {
  int64_t rows = 0;          // M
  int64_t out_features = 0;  // N
  int64_t in_features = 0;   // K
};

// Elements behind each row of a matrix that is made for a product alone: rows that are powers of
// two apart meet in the same sets of a cache, and there oneDNN multiplies at half its speed.
constexpr int64_t kRowPadding = 32;

// Whether the program's own bf16 products (cpu/product_bf16.h) are used where they fit, or oneDNN's
// alone, which are the measure (gemm_rate.h) and the better ones for a single row.
enum class ProductChoice { kOwnWhereTheyFit, kLibrary };
// kLibrary where no product has more than this many rows, so few that none would be our own.
ProductChoice products_for_rows(int64_t most_rows);

// Floats of scratch that the products of this shape need: blocks widened to f32, or the f32 sums of
// oneDNN's bf16 results.
int64_t linear_scratch_floats(ProductMode mode, const LinearShape& shape,
                              ProductChoice products = ProductChoice::kOwnWhereTheyFit);
// What an engine allocates for itself, for the memory plan: where our own products pack operands.
int64_t linear_engine_bytes(ProductMode mode, int threads,
                            ProductChoice products = ProductChoice::kOwnWhereTheyFit);
// What oneDNN allocates and keeps for the panels of operands that its products copy, at most, on
// this CPU; of small operands it is no more than they are. For the memory plan.
int64_t library_panel_bytes(int threads);

// Holds oneDNN's primitives, made once per shape. Not for concurrent use: each call runs on all
// OpenMP threads.
class LinearEngine {
 public:
  // scratch: as many floats as the largest linear_scratch_floats of the shapes to come. Our own
  // products run on at most `threads`.
  LinearEngine(ProductMode mode, float* scratch, int threads,
               ProductChoice products = ProductChoice::kOwnWhereTheyFit);
  LinearEngine(ProductMode mode, float* scratch);  // with ProductChoice::kLibrary
  ~LinearEngine();
  LinearEngine(const LinearEngine&) = delete;
  LinearEngine& operator=(const LinearEngine&) = delete;

  ProductMode mode() const { return mode_; }
  // Where our own products run, for kernels around them (head_bf16.h); null: oneDNN's are used.
  float* own_workspace() { return reinterpret_cast<float*>(workspace_.data()); }
  int threads() const { return threads_; }

  // y [M, N] = x [M, K] W^T, and the epilogue on it, which may be null. Only our own products call
  // it while they run; after others it is a pass over the rows of y.
  template <typename T>
  void forward(const T* x, const T* weight, T* y, const LinearShape& shape,
               const ResultEpilogue* epilogue = nullptr);
  // dx [M, K] = dy [M, N] W
  template <typename T>
  void backward_data(const T* dy, const T* weight, T* dx, const LinearShape& shape);
  // dweight [N, K] = dy^T x, added to what is there where it shall accumulate
  template <typename T>
  void backward_weight(const T* dy, const T* x, float* dweight, bool accumulate,
                       const LinearShape& shape);

  // The general product underneath, for callers that block by themselves (head_loss):
  //   c [m, n] (+)= op(a) op(b), op(a) [m, k], op(b) [k, n]; a and b of type TIn, c f32 or TIn.
  enum class Transpose { kNo, kYes };
  template <typename TIn, typename TOut>
  void product(int64_t m, int64_t n, int64_t k, const TIn* a, int64_t lda, Transpose ta,
               const TIn* b, int64_t ldb, Transpose tb, TOut* c, int64_t ldc, bool accumulate);

 private:
  struct Primitives;

  // Whether our own kernels compute this bf16 product, a not transposed.
  bool is_our_own(int64_t m, int64_t n, int64_t k) const;
  template <typename T>
  void multiply_forward(const T* x, const T* weight, T* y, const LinearShape& shape);

  ProductMode mode_;
  float* scratch_;
  int threads_ = 0;
  PageBuffer workspace_;  // empty: oneDNN's products
  std::unique_ptr<Primitives> primitives_;
};

}  // namespace borealis
