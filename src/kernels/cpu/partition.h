// How flat buffers and rows are shared out to OpenMP threads: fixed chunks, dealt statically. No
// kernel's result depends on which thread got which chunk.
#pragma once

#include <algorithm>
#include <cstdint>

namespace borealis {

// Below this many elements the start of a parallel region costs more than it saves.
constexpr int64_t kParallelElements = 16384;
constexpr int64_t kElementChunk = 8192;

// body(begin, count) over [0, n).
template <class Body>
void for_each_chunk(int64_t n, int64_t chunk, const Body& body) {
  const int64_t chunks = (n + chunk - 1) / chunk;
#pragma omp parallel for schedule(static) if (n > kParallelElements)
  for (int64_t c = 0; c < chunks; ++c) body(c * chunk, std::min(chunk, n - c * chunk));
}

// body(row) over [0, rows); row_elements says how much work a row is.
template <class Body>
void for_each_row(int64_t rows, int64_t row_elements, const Body& body) {
#pragma omp parallel for schedule(static) if (rows * row_elements > kParallelElements)
  for (int64_t row = 0; row < rows; ++row) body(row);
}

}  // namespace borealis
