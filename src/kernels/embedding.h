// Token embedding: a row of the weight per token. T is float or bf16.
//   tokens [rows] int32, every id in [0, V) (the caller's contract); weight [V, D]; out [rows, D].
#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace borealis {

template <typename T>
void embedding_forward(const int32_t* tokens, const T* weight, int64_t rows, int64_t D, T* out);

// dweight[tokens[r]] += dout[r], [V, D] f32. Threads own columns and walk the rows in order, so the
// same bits come out for any number of threads.
template <typename T>
void embedding_backward(const int32_t* tokens, const T* dout, int64_t rows, int64_t D,
                        float* dweight);

}  // namespace borealis
