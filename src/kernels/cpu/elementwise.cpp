#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/elementwise.cpp"
// clang-format off
#include "base/rounding.h"
#include "kernels/cpu/targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "kernels/cpu/vector-inl.h"
// clang-format on

#include "kernels/elementwise.h"

#include <hwy/cache_control.h>

#include <algorithm>
#include <cstring>

#include "kernels/cpu/partition.h"

HWY_BEFORE_NAMESPACE();
namespace borealis {
namespace HWY_NAMESPACE {
namespace {

template <typename T>
void add_spans(const T* a, const T* b, T* out, int64_t n) {
  const F32 d;
  for_columns(d, n, [&](int64_t i, auto width) HWY_ATTR {
    store(d, hn::Add(load(d, a + i, width), load(d, b + i, width)), out + i, width);
  });
}

template <typename From, typename To>
void copy_as(const From* src, To* dst, int64_t n) {
  const F32 d;
  for_columns(d, n, [&](int64_t i, auto width) HWY_ATTR {
    store(d, load(d, src + i, width), dst + i, width);
  });
}

template <typename From>
void scale_span(const From* src, float factor, bf16* dst, int64_t n) {
  const F32 d;
  const auto scale = hn::Set(d, factor);
  for_columns(d, n, [&](int64_t i, auto width) HWY_ATTR {
    store(d, hn::Mul(load(d, src + i, width), scale), dst + i, width);
  });
}

// Four pages at a time: with one, a core has too few loads under way (a Xeon's two cores copied 15
// to 17 GB/s, with four 20 to 21; memcpy, which fills the caches with the copy, 12).
constexpr size_t kPageBytes = 4096, kPages = 4;

}  // namespace

void stream_span(const char* from, char* to, size_t bytes) {
  const hn::ScalableTag<uint8_t> d;
  const auto* src = reinterpret_cast<const uint8_t*>(from);
  auto* dst = reinterpret_cast<uint8_t*>(to);
  const size_t lanes = hn::Lanes(d);
  const size_t head = std::min(bytes, -reinterpret_cast<uintptr_t>(to) % lanes);
  std::memcpy(dst, src, head);
  size_t at = head;
  for (; at + kPages * kPageBytes <= bytes; at += kPages * kPageBytes) {
    for (size_t i = at; i < at + kPageBytes; i += lanes) {
      for (size_t p = i; p < i + kPages * kPageBytes; p += kPageBytes) {
        hn::Stream(hn::LoadU(d, src + p), d, dst + p);
      }
    }
  }
  hwy::FlushStream();
  std::memcpy(dst + at, src + at, bytes - at);
}

void add_span_f32(const float* a, const float* b, float* out, int64_t n) {
  add_spans(a, b, out, n);
}
void add_span_bf16(const bf16* a, const bf16* b, bf16* out, int64_t n) { add_spans(a, b, out, n); }
void widen_span(const bf16* src, float* dst, int64_t n) { copy_as(src, dst, n); }
void narrow_span(const float* src, bf16* dst, int64_t n) { copy_as(src, dst, n); }
void scale_span_f32(const float* src, float factor, bf16* dst, int64_t n) {
  scale_span(src, factor, dst, n);
}
void scale_span_bf16(const bf16* src, float factor, bf16* dst, int64_t n) {
  scale_span(src, factor, dst, n);
}

}  // namespace HWY_NAMESPACE
}  // namespace borealis
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace borealis {
namespace {
HWY_EXPORT(add_span_f32);
HWY_EXPORT(add_span_bf16);
HWY_EXPORT(stream_span);
HWY_EXPORT(widen_span);
HWY_EXPORT(narrow_span);
HWY_EXPORT(scale_span_f32);
HWY_EXPORT(scale_span_bf16);

auto add_span_of(const float*) { return HWY_DYNAMIC_DISPATCH(add_span_f32); }
auto add_span_of(const bf16*) { return HWY_DYNAMIC_DISPATCH(add_span_bf16); }
auto convert_span_of(const bf16*) { return HWY_DYNAMIC_DISPATCH(widen_span); }
auto convert_span_of(const float*) { return HWY_DYNAMIC_DISPATCH(narrow_span); }

template <typename From, typename To>
void convert_matrix(const From* src, int64_t src_ld, To* dst, int64_t dst_ld, int64_t rows,
                    int64_t cols) {
  const auto span_kernel = convert_span_of(src);
  // Rows are cut too: one long row must keep all threads busy.
  const int64_t chunks = divide_up(cols, kElementChunk);
  for_each_row(rows * chunks, std::min(cols, kElementChunk), [&](int64_t piece) {
    const int64_t row = piece / chunks, at = piece % chunks * kElementChunk;
    span_kernel(src + row * src_ld + at, dst + row * dst_ld + at,
                std::min(kElementChunk, cols - at));
  });
}

}  // namespace

template <typename T>
void add(const T* a, const T* b, T* out, int64_t n) {
  const auto span_kernel = add_span_of(a);
  for_each_chunk(n, kElementChunk,
                 [&](int64_t at, int64_t count) { span_kernel(a + at, b + at, out + at, count); });
}

template void add(const float*, const float*, float*, int64_t);
template void add(const bf16*, const bf16*, bf16*, int64_t);

void convert(const bf16* src, float* dst, int64_t n) { convert_matrix(src, n, dst, n, 1, n); }
void convert(const float* src, bf16* dst, int64_t n) { convert_matrix(src, n, dst, n, 1, n); }

void convert_rows(const bf16* src, int64_t src_ld, float* dst, int64_t dst_ld, int64_t rows,
                  int64_t cols) {
  convert_matrix(src, src_ld, dst, dst_ld, rows, cols);
}
void convert_rows(const float* src, int64_t src_ld, bf16* dst, int64_t dst_ld, int64_t rows,
                  int64_t cols) {
  convert_matrix(src, src_ld, dst, dst_ld, rows, cols);
}

void scale_rows(const float* src, const float* factor, bf16* dst, int64_t rows, int64_t cols) {
  const auto span_kernel = HWY_DYNAMIC_DISPATCH(scale_span_f32);
  for_each_row(rows, cols, [&](int64_t row) {
    span_kernel(src + row * cols, factor[row], dst + row * cols, cols);
  });
}
void scale_rows(const bf16* src, const float* factor, bf16* dst, int64_t rows, int64_t cols) {
  const auto span_kernel = HWY_DYNAMIC_DISPATCH(scale_span_bf16);
  for_each_row(rows, cols, [&](int64_t row) {
    span_kernel(src + row * cols, factor[row], dst + row * cols, cols);
  });
}

constexpr int64_t kChunkBytes = 256 << 10;

void fill_zero(void* data, size_t bytes) {
  for_each_chunk(static_cast<int64_t>(bytes), kChunkBytes, [&](int64_t at, int64_t count) {
    std::memset(static_cast<char*>(data) + at, 0, static_cast<size_t>(count));
  });
}

void copy_bytes(const void* from, void* to, size_t bytes) {
  for_each_chunk(static_cast<int64_t>(bytes), kChunkBytes, [&](int64_t at, int64_t count) {
    std::memcpy(static_cast<char*>(to) + at, static_cast<const char*>(from) + at,
                static_cast<size_t>(count));
  });
}

void copy_uncached(const void* from, void* to, size_t bytes) {
  const auto span_kernel = HWY_DYNAMIC_DISPATCH(stream_span);
  for_each_chunk(static_cast<int64_t>(bytes), kChunkBytes, [&](int64_t at, int64_t count) {
    span_kernel(static_cast<const char*>(from) + at, static_cast<char*>(to) + at,
                static_cast<size_t>(count));
  });
}

}  // namespace borealis
#endif
