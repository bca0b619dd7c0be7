#include "kernels/cpu/head_bf16.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/rounding.h"
#include "kernels/cpu/product_bf16.h"
#include "kernels/cross_entropy.h"
#include "kernels/elementwise.h"

#if defined(__x86_64__)
#include "kernels/cpu/amx.h"
#include "kernels/cpu/product_amx_tile-inl.h"
#include "kernels/cpu/product_bf16_tile-inl.h"

namespace borealis {
namespace {

using bf16_product::kRows;
using bf16_tile::kLanes;
using bf16_tile::kPanel;

constexpr int64_t kBlock = bf16_product::kDepth;  // of the vocabulary: one depth of dx's product
constexpr int64_t kRowParts = kBlock / kRows;
// Rows of p that are powers of two apart would meet in the same sets of a cache.
constexpr int64_t kStrideOfP = kBlock + 32;

// A block of the vocabulary for the tokens of a chunk: what its threads read and write.
struct Block {
  const bf16* weight;  // [entries, D]
  int64_t first, entries, hidden_size;
  Bf16Packed x;  // [D, tokens]
  int64_t rows;  // tokens that are there
  const int32_t* targets;
  const float* shift;                      // [tokens]
  float *part_sum, *part_max;              // [kRowParts, tokens]
  float* target_logit;                     // [tokens]
  bf16 *kept, *p;                          // kept may be null, and then p is
  int64_t part_ld() const { return x.n; }  // of kept, too
};

}  // namespace
}  // namespace borealis

BOREALIS_BEGIN_AVX512_BF16
namespace borealis {
namespace {

using namespace bf16_product;
using namespace bf16_tile;

// e^x to 2e-7, by 2^(x log2 e) as exp2_bf16 has it with a polynomial of degree 5; NaN stays NaN.
inline __m512 exp_of(__m512 x) {
  const __m512 magic = _mm512_set1_ps(12582912.0f);
  x = _mm512_mul_ps(x, _mm512_set1_ps(1.44269504f));
  x = _mm512_max_ps(_mm512_set1_ps(-126.0f), x);
  const __m512 shifted = _mm512_add_ps(x, magic);
  const __m512 f = _mm512_sub_ps(x, _mm512_sub_ps(shifted, magic));
  __m512 p = _mm512_set1_ps(1.327647245e-3f);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(9.675541893e-3f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(5.550713092e-2f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(2.402212024e-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.931469440e-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f));
  const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
  return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), exponent));
}

// Two rows of 32 bf16 as words of a pair each: tokens 0 to 15, then 16 to 31.
inline void pair_rows(__m512i even, __m512i odd, uint32_t* words) {
  alignas(64) static constexpr uint16_t kLow[32] = {0,  32, 1,  33, 2,  34, 3,  35, 4,  36, 5,
                                                    37, 6,  38, 7,  39, 8,  40, 9,  41, 10, 42,
                                                    11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  const __m512i low = _mm512_load_si512(kLow);
  const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
  _mm512_store_si512(words, _mm512_permutex2var_epi16(even, low, odd));
  _mm512_store_si512(words + kLanes, _mm512_permutex2var_epi16(even, high, odd));
}

// One tile: logits [entries <= 96][64 tokens] -> its sums and maxima; its exponentials to
// kept [entry][token] and p [token][entry].
template <bool kKeep>
void exponentiate(const float* logits, int64_t entries, const float* shift, float* part_sum,
                  float* part_max, bf16* kept, int64_t kept_ld, bf16* p) {
  constexpr int64_t kGroup = 32, kVectors = 4;
  alignas(64) uint32_t words[kGroup / 2][kPanel] = {};
  __m512 shifts[kVectors], sum[kVectors], max[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    shifts[v] = _mm512_loadu_ps(shift + v * kLanes);
    sum[v] = _mm512_setzero_ps();
    max[v] = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  }
  for (int64_t begin = 0; begin < entries; begin += kGroup) {
    const int64_t end = std::min(entries, begin + kGroup);
    for (int64_t entry = begin; entry < end; entry += 2) {
      __m512i rounded[2][2];
#pragma GCC unroll 2
      for (int64_t odd = 0; odd < 2; ++odd) {
        const float* row = logits + (entry + odd) * kPanel;
        __m512 e[kVectors];
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) {
          const __m512 logit = _mm512_loadu_ps(row + v * kLanes);
          max[v] = _mm512_max_ps(max[v], logit);
          e[v] = exp_of(_mm512_sub_ps(logit, shifts[v]));
          sum[v] = _mm512_add_ps(sum[v], e[v]);
        }
        if constexpr (kKeep) {
          rounded[odd][0] = round_side_by_side(e[0], e[1]);
          rounded[odd][1] = round_side_by_side(e[2], e[3]);
          bf16* to = kept + (entry + odd) * kept_ld;
          _mm512_storeu_si512(to, rounded[odd][0]);
          _mm512_storeu_si512(to + 2 * kLanes, rounded[odd][1]);
        }
      }
      if constexpr (kKeep) {
        uint32_t* word = words[(entry - begin) / 2];
        pair_rows(rounded[0][0], rounded[1][0], word);
        pair_rows(rounded[0][1], rounded[1][1], word + 2 * kLanes);
      }
    }
    if constexpr (kKeep) {
      // What is left of `words` beyond the last entry is not multiplied.
      for (int64_t token = 0; token < kPanel; token += kLanes) {
        __m512i block[kLanes];
#pragma GCC unroll 16
        for (int64_t i = 0; i < kLanes; ++i) block[i] = _mm512_load_si512(words[i] + token);
        transpose_words(block);
#pragma GCC unroll 16
        for (int64_t i = 0; i < kLanes; ++i) {
          _mm512_storeu_si512(p + (token + i) * kStrideOfP + begin, block[i]);
        }
      }
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    _mm512_storeu_ps(part_sum + v * kLanes, sum[v]);
    _mm512_storeu_ps(part_max + v * kLanes, max[v]);
  }
}

// logits [entries][64] of tokens [token, token + 64): notes those of targets, whose exponentials
// count for nothing in p.
void take_targets(const Block& block, const float* logits, int64_t first, int64_t entries,
                  int64_t token) {
  for (int64_t t = token; t < std::min(token + kPanel, block.rows); ++t) {
    const int64_t entry = block.targets[t] - first;
    if (block.targets[t] < 0 || entry < 0 || entry >= entries) continue;
    block.target_logit[t] = logits[entry * kPanel + t - token];
    if (block.p != nullptr) block.p[t * kStrideOfP + first - block.first + entry] = bf16();
  }
}

// What is made of logits [rows <= 96][64 tokens], of the block's entries from `first` on.
void take_logits(const Block& block, const float* logits, int64_t first, int64_t rows,
                 int64_t token) {
  const int64_t ld = block.part_ld();
  float* part_sum = block.part_sum + first / kRows * ld + token;
  float* part_max = block.part_max + first / kRows * ld + token;
  if (block.kept != nullptr) {
    exponentiate<true>(logits, rows, block.shift + token, part_sum, part_max,
                       block.kept + first * ld + token, ld, block.p + token * kStrideOfP + first);
  } else {
    exponentiate<false>(logits, rows, block.shift + token, part_sum, part_max, nullptr, 0, nullptr);
  }
  take_targets(block, logits, block.first + first, rows, token);
}

// One thread's part of a block. workspace: room for the logits [kPanelsAtOnce][kBlockRows][64] and
// for a row block.
template <typename TRows>
void make_part(const Block& block, const Part& part, float* workspace) {
  [[maybe_unused]] const typename TRows::Session session;
  const int64_t D = block.hidden_size, end = part.first_column + part.columns;
  constexpr int64_t kLogits = TRows::kBlockRows * kPanel;
  TRows row_block(workspace + TRows::kPanelsAtOnce * kLogits);
  // A row block of one depth serves all panels.
  const bool is_shallow = D <= kDepth;
  const int64_t tokens_at_once = (is_shallow ? 1 : TRows::kPanelsAtOnce) * kPanel;
  const int64_t last_row = std::min(part.first_row + part.rows, block.entries);
  for (int64_t r = part.first_row; r < last_row; r += TRows::kBlockRows) {
    const int64_t rows = std::min(TRows::kBlockRows, last_row - r);
    const bf16* a = block.weight + r * D;
    for (int64_t begin = part.first_column; begin < end; begin += tokens_at_once) {
      const int64_t tokens_end = std::min(begin + tokens_at_once, end);
      const auto logits_of = [&](int64_t token) {
        return workspace + (token - begin) / kPanel * kLogits;
      };
      for (int64_t depth = 0; depth < D; depth += kDepth) {
        const int64_t pairs = depth_pairs(D, depth);
        if (!is_shallow || begin == part.first_column) {
          row_block.load(a + depth, D, rows, depth_of(D, depth));
        }
        for (int64_t token = begin; token < tokens_end; token += kPanel) {
          const uint32_t* panel = packed_panel(block.x, depth, token);
          const int64_t line = (token - part.first_column) / kPanel * kLinesOfA * 32;
          const Prefetch next{reinterpret_cast<const char*>(panel + pairs * kPanel),
                              a + depth + (line < 2 * pairs ? kRows * D + line : 0)};
          TileOutput out{};
          out.c = logits_of(token);
          out.ldc = kPanel;
          out.accumulate = depth > 0;
          row_block.template multiply<false>(kPanel, panel, next, out);
        }
      }
      for (int64_t token = begin; token < tokens_end; token += kPanel) {
        for (int64_t row = 0; row < rows; row += kRows) {
          take_logits(block, logits_of(token) + row * kPanel, r + row, std::min(kRows, rows - row),
                      token);
        }
      }
    }
  }
}

// dst [cols] = (sums + coefficient * weight) * factor
void finish_row(const float* sums, const bf16* weight, float coefficient, float factor,
                int64_t cols, bf16* dst) {
  const __m512 c = _mm512_set1_ps(coefficient), f = _mm512_set1_ps(factor);
  for (int64_t i = 0; i < cols; i += kLanes) {
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weight + i));
    const __m512 w = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
    const __m512 all = _mm512_mul_ps(_mm512_fmadd_ps(c, w, _mm512_loadu_ps(sums + i)), f);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst + i), (__m256i)_mm512_cvtneps_pbh(all));
  }
}

}  // namespace
}  // namespace borealis
BOREALIS_END_AVX512_BF16

namespace borealis {

bool Bf16Head::fits(const HeadShape& shape) {
  return bf16_products_supported() && shape.hidden_size % kLanes == 0 && shape.vocab_size % 2 == 0;
}

Bf16Head::Workspace::Workspace(const HeadShape& shape, bool backward_follows)
    : chunk(head_token_chunk(ProductMode::kBF16Native, shape)),
      blocks(divide_up(shape.vocab_size, kBlock)) {
  const int64_t D = shape.hidden_size, tokens = round_up(chunk, kPanel);
  packed_x = take(bf16_packed_words(D, tokens));
  shift = take(tokens);
  sum = take(tokens);
  target_logit = take(tokens);
  part_sum = take(kRowParts * tokens);
  part_max = take(kRowParts * tokens);
  if (!backward_follows) return;
  kept = take(shape.vocab_size * tokens / 2);
  p = take(tokens * kStrideOfP / 2);
  dx = take(tokens * D);
  block_shift = take(blocks * tokens);
  factored_x = take(chunk * D / 2);
  packed_factored_x = take(bf16_packed_words(tokens, D));
}

int64_t Bf16Head::Workspace::take(int64_t floats) {
  const int64_t begin = offset;
  offset += round_up(floats, kLanes);
  return begin;
}

int64_t Bf16Head::scratch_floats(const HeadShape& shape, bool backward_follows) {
  return Workspace(shape, backward_follows).offset;
}

Bf16Head::Bf16Head(const HeadShape& shape, const HeadOperands<bf16>& in, bool backward_follows,
                   float* scratch, float* workspace, int threads)
    : shape_(shape),
      in_(in),
      backward_follows_(backward_follows),
      scratch_(scratch),
      workspace_(workspace),
      threads_(threads),
      space_(shape, backward_follows) {
  CHECK(fits(shape));
}

double Bf16Head::forward(int64_t row, int64_t rows) {
  const int64_t D = shape_.hidden_size, V = shape_.vocab_size;
  rows_ = rows;
  padded_ = round_up(rows, kPanel);
  targets_ = in_.targets + row;
  pack_bf16({in_.x + row * D, D, true, D, rows}, D, padded_, at<uint32_t>(space_.packed_x));
  settle_shifts();
  for (int64_t first = 0; first < V; first += kBlock) {
    const int64_t entries = std::min(kBlock, V - first);
    make_block(first, entries, backward_follows_);
    if (raise_shifts(first, entries)) make_block(first, entries, backward_follows_);
    sum_block(first, entries);
  }
  const float *shift = at<float>(space_.shift), *sum = at<float>(space_.sum);
  double loss = 0;
  for (int64_t t = 0; t < rows; ++t) {
    if (targets_[t] == kNoTarget) continue;
    loss += static_cast<double>(shift[t]) + std::log(static_cast<double>(sum[t])) -
            static_cast<double>(at<float>(space_.target_logit)[t]);
  }
  return loss;
}

// The largest of the first logits; most tokens keep it.
void Bf16Head::settle_shifts() {
  float *shift = at<float>(space_.shift), *max = at<float>(space_.part_max);
  std::fill_n(shift, padded_, 0.0f);
  std::fill_n(at<float>(space_.sum), padded_, 0.0f);
  make_block(0, std::min(kRows, shape_.vocab_size), false);
  for (int64_t t = 0; t < padded_; ++t) {
    if (max[t] > -std::numeric_limits<float>::infinity()) shift[t] = max[t];
  }
}

void Bf16Head::make_block(int64_t first, int64_t entries, bool keeps) {
  const int64_t D = shape_.hidden_size;
  Block block{};
  block.weight = in_.weight + first * D;
  block.first = first;
  block.entries = entries;
  block.hidden_size = D;
  block.x = {D, padded_, at<uint32_t>(space_.packed_x)};
  block.rows = rows_;
  block.targets = targets_;
  block.shift = at<float>(space_.shift);
  block.part_sum = at<float>(space_.part_sum);
  block.part_max = at<float>(space_.part_max);
  block.target_logit = at<float>(space_.target_logit);
  if (keeps) {
    block.kept = at<bf16>(space_.kept) + first * padded_;
    block.p = at<bf16>(space_.p);
  }
  const int team = std::min(threads_, omp_get_max_threads());
  const bf16_product::Grid grid({entries, kRows}, {padded_, kPanel}, team);
  const int64_t each = bf16_product_workspace_floats(1);
  const auto make_one = amx_products_supported() ? make_part<bf16_product::TileRows>
                                                 : make_part<bf16_product::DotRows>;
#pragma omp parallel for schedule(static) num_threads(team)
  for (int thread = 0; thread < team; ++thread) {
    make_one(block, grid.part(thread), workspace_ + thread * each);
  }
}

// Whether the block has to be made again.
bool Bf16Head::raise_shifts(int64_t first, int64_t entries) {
  const int64_t D = shape_.hidden_size, parts = divide_up(entries, kRows);
  float *shift = at<float>(space_.shift), *max = at<float>(space_.part_max);
  // The other threads wait meanwhile: along the tokens, as vectors.
  for (int64_t part = 1; part < parts; ++part) {
    const float* part_max = max + part * padded_;
    for (int64_t t = 0; t < rows_; ++t) max[t] = std::max(max[t], part_max[t]);
  }
  bool raised = false;
  for (int64_t t = 0; t < rows_; ++t) {
    if (!(max[t] > shift[t] + kShiftSlack)) continue;
    const float factor = std::exp(shift[t] - max[t]);
    at<float>(space_.sum)[t] *= factor;
    if (backward_follows_ && first > 0) {
      float* sums = at<float>(space_.dx) + t * D;
      for (int64_t i = 0; i < D; ++i) sums[i] *= factor;
    }
    shift[t] = max[t];
    raised = true;
  }
  return raised;
}

void Bf16Head::sum_block(int64_t first, int64_t entries) {
  const int64_t D = shape_.hidden_size;
  float* sum = at<float>(space_.sum);
  for (int64_t part = 0; part < divide_up(entries, kRows); ++part) {
    const float* part_sum = at<float>(space_.part_sum) + part * padded_;
    for (int64_t t = 0; t < rows_; ++t) sum[t] += part_sum[t];
  }
  if (!backward_follows_) return;
  std::copy_n(at<float>(space_.shift), rows_,
              at<float>(space_.block_shift) + first / kBlock * padded_);
  Bf16Product product{rows_, D, entries, at<bf16>(space_.p), kStrideOfP, in_.weight + first * D, D};
  product.ldc = D;
  product.accumulate = first > 0;
  multiply_bf16(product, at<float>(space_.dx), threads_, workspace_);
}

void Bf16Head::backward(int64_t row, int64_t rows, float scale, bf16* dx, float* dweight,
                        bool accumulate) {
  CHECK(rows == rows_);
  const int64_t D = shape_.hidden_size;
  // dW takes the factor of each token from x.
  float* factor = at<float>(space_.part_sum);
  for (int64_t t = 0; t < rows; ++t) {
    factor[t] = targets_[t] == kNoTarget ? 0.0f : scale / at<float>(space_.sum)[t];
  }
  bf16* factored_x = at<bf16>(space_.factored_x);
  scale_rows(in_.x + row * D, factor, factored_x, rows, D);
  finish_kept();
  Bf16PackedProduct product;
  product.m = shape_.vocab_size;
  product.a = at<bf16>(space_.kept);
  product.lda = padded_;
  product.b = pack_bf16({factored_x, D, false, rows, D}, padded_, D,
                        at<uint32_t>(space_.packed_factored_x));
  product.c = dweight;
  product.ldc = D;
  product.accumulate = accumulate;
  multiply_bf16(product, threads_, workspace_);
#pragma omp parallel for schedule(static)
  for (int64_t t = 0; t < rows; ++t) finish_dx(t, factor[t], dx + (row + t) * D);
}

// kept -> exp(logit - shift) - onehot(target) * sum
void Bf16Head::finish_kept() {
  const float* shift = at<float>(space_.shift);
  bf16* kept = at<bf16>(space_.kept);
  constexpr int64_t kTokensOfALine = 32;  // of cache: no two threads write into one
#pragma omp parallel for schedule(static) num_threads(threads_)
  for (int64_t first = 0; first < rows_; first += kTokensOfALine) {
    for (int64_t t = first; t < std::min(first + kTokensOfALine, rows_); ++t) {
      for (int64_t block = 0; block < space_.blocks; ++block) {
        const float under = at<float>(space_.block_shift)[block * padded_ + t];
        if (under == shift[t]) continue;
        const float factor = std::exp(under - shift[t]);
        const int64_t end = std::min((block + 1) * kBlock, shape_.vocab_size);
        for (int64_t entry = block * kBlock; entry < end; ++entry) {
          bf16& value = kept[entry * padded_ + t];
          value = bf16(static_cast<float>(value) * factor);
        }
      }
      if (targets_[t] >= 0) kept[targets_[t] * padded_ + t] = bf16(target_excess(t));
    }
  }
}

float Bf16Head::target_excess(int64_t t) const {
  return std::exp(at<float>(space_.target_logit)[t] - at<float>(space_.shift)[t]) -
         at<float>(space_.sum)[t];
}

void Bf16Head::finish_dx(int64_t t, float factor, bf16* dx) const {
  const int64_t D = shape_.hidden_size;
  if (targets_[t] < 0) {
    std::fill_n(dx, D, bf16());
    return;
  }
  finish_row(at<float>(space_.dx) + t * D, in_.weight + targets_[t] * D, target_excess(t), factor,
             D, dx);
}

}  // namespace borealis

#else

namespace borealis {

bool Bf16Head::fits(const HeadShape&) { return false; }
int64_t Bf16Head::scratch_floats(const HeadShape&, bool) { return 0; }
Bf16Head::Workspace::Workspace(const HeadShape&, bool) : chunk(0), blocks(0) {}
Bf16Head::Bf16Head(const HeadShape& shape, const HeadOperands<bf16>& in, bool backward_follows,
                   float* scratch, float* workspace, int threads)
    : shape_(shape),
      in_(in),
      backward_follows_(backward_follows),
      scratch_(scratch),
      workspace_(workspace),
      threads_(threads),
      space_(shape, backward_follows) {
  CHECK(fits(shape));
}
double Bf16Head::forward(int64_t, int64_t) { return 0; }
void Bf16Head::backward(int64_t, int64_t, float, bf16*, float*, bool) {}

}  // namespace borealis

#endif
