// AdamW in double, state and all: the twin of kernels/adamw.h.
#pragma once

#include <cstdint>

#include "kernels/adamw.h"

namespace borealis::reference {

void adamw_update(double* weight, double* m, double* v, const double* gradient, int64_t n,
                  const AdamWStep& step);

}  // namespace borealis::reference
