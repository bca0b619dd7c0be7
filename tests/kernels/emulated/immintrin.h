// AVX512-BF16's and AMX's instructions as far as our kernels use them, in plain C++: with this
// folder before the compiler's own headers, the kernels that need them (src/kernels/cpu) run on any
// x86 CPU, slowly. Vectors are the compiler's, whose operators need no instruction in particular.
// What the hardware answers with a fault or with garbage ends the test here: an unaligned access of
// an aligned load, a tile without a configuration, sizes that do not go together.
#pragma once

#pragma GCC system_header  // for #include_next
#include_next <immintrin.h>

#include "kernels/emulated/tiles.h"
#include "kernels/emulated/vectors.h"

// The functions of the kernels' files are for any CPU here.
#define BOREALIS_BEGIN_AVX512_BF16
#define BOREALIS_END_AVX512_BF16
#define BOREALIS_BEGIN_AMX
#define BOREALIS_END_AMX

// clang-format off
#define _mm512_add_epi16 borealis::emulated::add_epi16
#define _mm512_add_epi32 borealis::emulated::add_epi32
#define _mm512_add_ps borealis::emulated::add_ps
#define _mm512_broadcastd_epi32 borealis::emulated::broadcastd_epi32
#define _mm512_castps_si512 borealis::emulated::castps_si512
#define _mm512_castsi512_ps borealis::emulated::castsi512_ps
#define _mm512_castsi512_si256 borealis::emulated::castsi512_si256
#undef _mm512_cmp_ps_mask
#define _mm512_cmp_ps_mask borealis::emulated::cmp_ps_mask
#define _mm512_cvtepu16_epi32 borealis::emulated::cvtepu16_epi32
#define _mm512_cvtne2ps_pbh borealis::emulated::cvtne2ps_pbh
#define _mm512_cvtneps_pbh borealis::emulated::cvtneps_pbh
#define _mm512_dpbf16_ps borealis::emulated::dpbf16_ps
#undef _mm512_extracti64x4_epi64
#define _mm512_extracti64x4_epi64 borealis::emulated::extracti64x4_epi64
#define _mm512_fmadd_ps borealis::emulated::fmadd_ps
#define _mm512_fmsub_ps borealis::emulated::fmsub_ps
#define _mm512_load_si512 borealis::emulated::load_si512
#define _mm512_loadu_ps borealis::emulated::loadu_ps
#define _mm512_loadu_si512 borealis::emulated::loadu_si512
#define _mm512_mask_cmple_epi32_mask borealis::emulated::mask_cmple_epi32_mask
#define _mm512_mask_max_ps borealis::emulated::mask_max_ps
#define _mm512_mask_storeu_ps borealis::emulated::mask_storeu_ps
#define _mm512_maskz_loadu_epi16 borealis::emulated::maskz_loadu_epi16
#define _mm512_maskz_loadu_epi32 borealis::emulated::maskz_loadu_epi32
#define _mm512_maskz_loadu_ps borealis::emulated::maskz_loadu_ps
#define _mm512_maskz_mov_ps borealis::emulated::maskz_mov_ps
#define _mm512_max_ps borealis::emulated::max_ps
#define _mm512_mul_ps borealis::emulated::mul_ps
#define _mm512_or_si512 borealis::emulated::or_si512
#define _mm512_permutex2var_epi16 borealis::emulated::permutex2var_epi16
#define _mm512_permutexvar_epi16 borealis::emulated::permutexvar_epi16
#define _mm512_reduce_add_ps borealis::emulated::reduce_add_ps
#define _mm512_set1_epi16 borealis::emulated::set1_epi16
#define _mm512_set1_epi32 borealis::emulated::set1_epi32
#define _mm512_set1_ps borealis::emulated::set1_ps
#define _mm512_setzero_ps borealis::emulated::setzero_ps
#define _mm512_setzero_si512 borealis::emulated::setzero_si512
#undef _mm512_shuffle_i32x4
#define _mm512_shuffle_i32x4 borealis::emulated::shuffle_i32x4
#define _mm512_slli_epi32 borealis::emulated::slli_epi32
#define _mm512_store_si512 borealis::emulated::store_si512
#define _mm512_storeu_ps borealis::emulated::storeu_ps
#define _mm512_storeu_si512 borealis::emulated::storeu_si512
#define _mm512_sub_ps borealis::emulated::sub_ps
#define _mm512_unpackhi_epi32 borealis::emulated::unpackhi_epi32
#define _mm512_unpackhi_epi64 borealis::emulated::unpackhi_epi64
#define _mm512_unpacklo_epi32 borealis::emulated::unpacklo_epi32
#define _mm512_unpacklo_epi64 borealis::emulated::unpacklo_epi64
#define _mm256_loadu_si256 borealis::emulated::loadu_si256
#define _mm256_mask_storeu_epi16 borealis::emulated::mask_storeu_epi16
#define _mm256_storeu_si256 borealis::emulated::storeu_si256

#define __builtin_cpu_supports(feature) true

#undef _tile_loadd
#undef _tile_dpbf16ps
#undef _tile_stored
#undef _tile_zero
#define _tile_dpbf16ps borealis::emulated::tile_dpbf16ps
#define _tile_loadconfig borealis::emulated::tile_loadconfig
#define _tile_loadd borealis::emulated::tile_loadd
#define _tile_release borealis::emulated::tile_release
#define _tile_stored borealis::emulated::tile_stored
#define _tile_zero borealis::emulated::tile_zero
// clang-format on
