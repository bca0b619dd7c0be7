// How flat buffers and rows are shared out to OpenMP threads: fixed chunks, dealt statically. No
// kernel's result depends on which thread got which chunk.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>

#include "base/rounding.h"

namespace borealis {

// Below this many elements the start of a parallel region costs more than it saves.
constexpr int64_t kParallelElements = 16384;
constexpr int64_t kElementChunk = 8192;

// Even a parallel region of one thread costs as much as some thousand elements: short calls and
// those from within a region have none.
inline bool stays_in_this_thread(int64_t elements) {
  return elements <= kParallelElements || omp_in_parallel();
}

// body(begin, count) over [0, n).
template <class Body>
void for_each_chunk(int64_t n, int64_t chunk, const Body& body) {
  const int64_t chunks = divide_up(n, chunk);
  const auto one = [&](int64_t c) { body(c * chunk, std::min(chunk, n - c * chunk)); };
  if (stays_in_this_thread(n)) {
    for (int64_t c = 0; c < chunks; ++c) one(c);
    return;
  }
#pragma omp parallel for schedule(static)
  for (int64_t c = 0; c < chunks; ++c) one(c);
}

// body(row) over [0, rows); row_elements says how much work a row is.
template <class Body>
void for_each_row(int64_t rows, int64_t row_elements, const Body& body) {
  if (stays_in_this_thread(rows * row_elements)) {
    for (int64_t row = 0; row < rows; ++row) body(row);
    return;
  }
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < rows; ++row) body(row);
}

}  // namespace borealis
