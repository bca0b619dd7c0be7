// Which instructions the kernels run on: our own (Highway) and oneDNN's.
#pragma once

#include <string>
#include <string_view>

namespace borealis {

// Keeps both from using more than `cap`: "native" (no cap), "avx512_bf16" (no AMX), "avx512" (nor
// AVX-512's bf16 products), "avx2" or "sse4". Must come before the first kernel or oneDNN call
// (CHECK). Throws Error(kConfig) for an unknown name, or for a cap on a machine that is not x86.
void limit_cpu_isa(std::string_view cap);

// For the log: "AVX2 kernels (Highway), oneDNN avx2, bf16 stored and f32 multiplied".
std::string cpu_isa_description();

// Whether oneDNN multiplies bf16 matrices in hardware (AVX512-BF16 or AMX) under the present cap.
bool native_bf16_products();

}  // namespace borealis
