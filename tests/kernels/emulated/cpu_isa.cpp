// A CPU with AVX512-BF16 and AMX, of which BOREALIS_TEST_CPU_ISA=avx512_bf16 takes the latter away
// (support/capped_cpu.cpp). In place of src/kernels/cpu/isa.cpp and amx.cpp.
#include "kernels/cpu_isa.h"

#include "base/check.h"
#include "kernels/cpu/amx.h"

namespace borealis {
namespace {

bool has_amx = true;

}  // namespace

void limit_cpu_isa(std::string_view cap) {
  CHECK(cap == "native" || cap == "avx512_bf16");
  allow_amx(cap == "native");
}
std::string cpu_isa_description() { return has_amx ? "emulated AMX" : "emulated AVX512-BF16"; }
bool native_bf16_products() { return true; }
bool amx_products_supported() { return has_amx; }
void allow_amx(bool allowed) { has_amx = allowed; }

}  // namespace borealis
