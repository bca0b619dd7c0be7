// AMX's eight tiles of a thread, of up to 16 rows of 64 bytes.
#pragma once

#include <cstdint>

namespace borealis::emulated {

void tile_loadconfig(const void* config);
void tile_release();
void tile_zero(int tile);
void tile_loadd(int tile, const void* from, int64_t row_bytes);
void tile_stored(int tile, void* to, int64_t row_bytes);
// sums [16][16] += a [16][words] b [words][16]: words of two bf16.
void tile_dpbf16ps(int sums, int a, int b);

}  // namespace borealis::emulated
