// Matrix products of bf16 by AMX or by AVX512-BF16's dot products of pairs, for the shapes of a
// decoder's passes. On Zen 5, at the head's shapes, the latter run at 2 to 6 % above oneDNN's
// "gemm:jit" where they pack b themselves, 3 to 7 % where it was packed before.
//   c [m, n] (+)= op(a) op(b), op(a) [m, k], op(b) [k, n], all row-major with leading dimensions;
//   sums are f32 in an order that does not depend on the number of threads.
#pragma once

#include <cstdint>

#include "base/dtype.h"
#include "kernels/result_epilogue.h"

namespace borealis {

// Whether this CPU, under the present cap, has AVX512-BF16; AMX is used where it has that, too.
bool bf16_products_supported();
// Whether op(a) may be a transpose: with AMX.
bool bf16_product_transposes();

struct Bf16Product {
  int64_t m = 0, n = 0, k = 0;
  const bf16* a = nullptr;
  int64_t lda = 0;
  const bf16* b = nullptr;  // [k, n], or [n, k] where b_transposed
  int64_t ldb = 0;
  bool b_transposed = false;
  int64_t ldc = 0;
  bool accumulate = false;
  bool a_transposed = false;                 // a is [k, m]
  const ResultEpilogue* epilogue = nullptr;  // of one that bf16_product_takes
};

// Sizes that multiply_bf16 takes: enough rows to make up for packing b and, without AMX, pairs
// along k and whole vectors along n.
bool bf16_product_fits(int64_t m, int64_t n, int64_t k);

// Whether blocks of whole units fit into those that are packed at a time: heads of up to 512 do.
bool bf16_product_takes(const ResultEpilogue& epilogue);

// Memory that a call on so many threads packs operands into.
int64_t bf16_product_workspace_floats(int threads);

// c: f32, or bf16 rounded once; bf16 does not accumulate (CHECK). Runs on at most `threads` OpenMP
// threads; workspace has the floats of that many, on a cache line.
void multiply_bf16(const Bf16Product& product, float* c, int threads, float* workspace);
void multiply_bf16(const Bf16Product& product, bf16* c, int threads, float* workspace);

// An operand that many products share, packed once: [k / 2] pairs of rows by panels of 64 columns,
// in blocks of the depth.
struct Bf16Unpacked {
  const bf16* data = nullptr;  // [rows, columns], or its transpose
  int64_t ld = 0;
  bool transposed = false;
  int64_t rows = 0, columns = 0;
};
struct Bf16Packed {
  int64_t k = 0, n = 0;
  const uint32_t* words = nullptr;
};
int64_t bf16_packed_words(int64_t k, int64_t n);
// k >= rows, even; n >= columns, a multiple of 16: zero beyond rows and columns. words on a cache
// line.
Bf16Packed pack_bf16(const Bf16Unpacked& b, int64_t k, int64_t n, uint32_t* words);
// The first word of the panel with this column of the block of the depth that starts here.
const uint32_t* packed_panel(const Bf16Packed& b, int64_t depth, int64_t column);

// c [m, n] f32 (+)= a [m, k] b
struct Bf16PackedProduct {
  int64_t m = 0;
  const bf16* a = nullptr;
  int64_t lda = 0;
  Bf16Packed b;
  float* c = nullptr;
  int64_t ldc = 0;
  bool accumulate = false;
};
void multiply_bf16(const Bf16PackedProduct& product, int threads, float* workspace);

}  // namespace borealis
