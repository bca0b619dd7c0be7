// Rotary position embedding in double on [rows, heads, C], the pair (j, j + C/2) as a complex
// number turned by position * frequency[j]: the twin that kernels/rope.h is tested against.
#pragma once

#include <cstdint>
#include <vector>

namespace borealis::reference {

std::vector<double> rope_frequencies(double theta, int64_t head_dim);

// position of a row: row % seq_length + offset; direction 1 turns forward, -1 back.
void rope(double* x, int64_t rows, int64_t num_heads, int64_t head_dim,
          const std::vector<double>& frequencies, int64_t seq_length, int64_t offset,
          int direction);

}  // namespace borealis::reference
