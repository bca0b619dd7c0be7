// The machine's memory bandwidth, against which kernels that do little arithmetic are held.
#pragma once

#include <cstdint>

namespace borealis {

// Bytes per second of STREAM's triad (McCalpin 1995), a[i] = b[i] + s c[i] in f32 over arrays of
// triad_bytes() together, on all threads of this process: the best of several passes.
double measure_triad_bytes_per_s();
// What the measurement allocates while it runs: more than most last-level caches hold.
int64_t triad_bytes();

}  // namespace borealis
