// Products of small f32 tiles that lie in the first two cache levels; the inner loop of attention.
// Included once per Highway target (see attention_f32.cpp), hence no ordinary include guard.
#if defined(BOREALIS_TILE_PRODUCT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef BOREALIS_TILE_PRODUCT_INL_H_
#undef BOREALIS_TILE_PRODUCT_INL_H_
#else
#define BOREALIS_TILE_PRODUCT_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace borealis {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Up to 16 lanes: tiles are padded to multiples of two vectors, and wider ones would only pad more.
using FloatTag = hn::CappedTag<float, 16>;
using FloatVec = hn::Vec<FloatTag>;

// a is addressed as a[row * row_stride + depth * depth_stride], so a transpose costs nothing.
struct TileA {
  const float* data;
  int64_t row_stride;
  int64_t depth_stride;
};

// c[kRows x 2 vectors] (+)= a b; b[depth][...] with leading dimension ldb. Six rows of two vectors
// keep twelve accumulators, two of b and one of a in AVX2's sixteen registers.
template <int kRows>
HWY_INLINE void micro_tile(const TileA& a, const float* HWY_RESTRICT b, int64_t ldb, int64_t depth,
                           float* HWY_RESTRICT c, int64_t ldc, bool accumulate) {
  const FloatTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  FloatVec c00, c01, c10, c11, c20, c21, c30, c31, c40, c41, c50, c51;
  c00 = c01 = c10 = c11 = c20 = c21 = c30 = c31 = c40 = c41 = c50 = c51 = hn::Zero(d);
  const float* a_column = a.data;
  for (int64_t p = 0; p < depth; ++p) {
    const auto b0 = hn::LoadU(d, b);
    const auto b1 = hn::LoadU(d, b + lanes);
    const float* a_row = a_column;
    auto multiply = [&](FloatVec& acc0, FloatVec& acc1) HWY_ATTR {
      const auto value = hn::Set(d, *a_row);
      acc0 = hn::MulAdd(value, b0, acc0);
      acc1 = hn::MulAdd(value, b1, acc1);
      a_row += a.row_stride;
    };
    multiply(c00, c01);
    if constexpr (kRows > 1) multiply(c10, c11);
    if constexpr (kRows > 2) multiply(c20, c21);
    if constexpr (kRows > 3) multiply(c30, c31);
    if constexpr (kRows > 4) multiply(c40, c41);
    if constexpr (kRows > 5) multiply(c50, c51);
    b += ldb;
    a_column += a.depth_stride;
  }
  auto store = [&](int row, FloatVec acc0, FloatVec acc1) HWY_ATTR {
    float* out = c + row * ldc;
    if (accumulate) {
      acc0 = hn::Add(acc0, hn::LoadU(d, out));
      acc1 = hn::Add(acc1, hn::LoadU(d, out + lanes));
    }
    hn::StoreU(acc0, d, out);
    hn::StoreU(acc1, d, out + lanes);
  };
  store(0, c00, c01);
  if constexpr (kRows > 1) store(1, c10, c11);
  if constexpr (kRows > 2) store(2, c20, c21);
  if constexpr (kRows > 3) store(3, c30, c31);
  if constexpr (kRows > 4) store(4, c40, c41);
  if constexpr (kRows > 5) store(5, c50, c51);
}

// c[rows x cols] (+)= a[rows x depth] b[depth x cols]; cols is rounded up to whole pairs of
// vectors, so b and c must have that many columns to read and write.
HWY_INLINE void tile_product(int64_t rows, int64_t cols, int64_t depth, TileA a, const float* b,
                             int64_t ldb, float* c, int64_t ldc, bool accumulate) {
  const int64_t width = 2 * static_cast<int64_t>(hn::Lanes(FloatTag()));
  for (int64_t col = 0; col < cols; col += width) {
    int64_t row = 0;
    for (; row + 6 <= rows; row += 6) {
      const TileA part{a.data + row * a.row_stride, a.row_stride, a.depth_stride};
      micro_tile<6>(part, b + col, ldb, depth, c + row * ldc + col, ldc, accumulate);
    }
    const TileA part{a.data + row * a.row_stride, a.row_stride, a.depth_stride};
    float* out = c + row * ldc + col;
    switch (rows - row) {
      case 1:
        micro_tile<1>(part, b + col, ldb, depth, out, ldc, accumulate);
        break;
      case 2:
        micro_tile<2>(part, b + col, ldb, depth, out, ldc, accumulate);
        break;
      case 3:
        micro_tile<3>(part, b + col, ldb, depth, out, ldc, accumulate);
        break;
      case 4:
        micro_tile<4>(part, b + col, ldb, depth, out, ldc, accumulate);
        break;
      case 5:
        micro_tile<5>(part, b + col, ldb, depth, out, ldc, accumulate);
        break;
      default:
        break;
    }
  }
}

// 2^x for x <= 0 or so; exactly 0 below -126, whatever was computed; NaN stays NaN (so x goes
// through no maximum: one keeps it, another does not). Relative error 2e-8 before rounding: a
// polynomial of degree 6, fitted to the relative error of 2^f on [-0.5, 0.5].
HWY_INLINE FloatVec exp2_fast(FloatVec x) {
  const FloatTag d;
  const hn::RebindToSigned<FloatTag> di;
  const auto whole = hn::Round(x);
  const auto f = hn::Sub(x, whole);
  auto p = hn::Set(d, 1.534581079e-4f);
  p = hn::MulAdd(p, f, hn::Set(d, 1.339993121e-3f));
  p = hn::MulAdd(p, f, hn::Set(d, 9.618488962e-3f));
  p = hn::MulAdd(p, f, hn::Set(d, 5.550328777e-2f));
  p = hn::MulAdd(p, f, hn::Set(d, 2.402264689e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 6.931472057e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 1.0f));
  const auto exponent = hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(di, whole), hn::Set(di, 127)));
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -126.0f)), hn::Mul(p, hn::BitCast(d, exponent)));
}

}  // namespace HWY_NAMESPACE
}  // namespace borealis
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
