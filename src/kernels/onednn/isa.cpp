#include "kernels/onednn/isa.h"

#include <dnnl.h>

#include <array>

#include "base/check.h"

namespace borealis {
namespace {

struct Isa {
  unsigned bits;
  const char* name;
};

// oneDNN numbers its instruction sets so that one that includes another has all of the other's
// bits. Best first.
constexpr std::array<Isa, 8> kIsas = {Isa{dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx"},
                                      Isa{dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16"},
                                      Isa{dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni"},
                                      Isa{dnnl_cpu_isa_avx512_core, "avx512_core"},
                                      Isa{dnnl_cpu_isa_avx2_vnni, "avx2_vnni"},
                                      Isa{dnnl_cpu_isa_avx2, "avx2"},
                                      Isa{dnnl_cpu_isa_avx, "avx"},
                                      Isa{dnnl_cpu_isa_sse41, "sse41"}};

unsigned effective_isa() {
#if defined(__x86_64__)
  return static_cast<unsigned>(dnnl_get_effective_cpu_isa());
#else
  return 0;  // those of other processors are numbered by themselves
#endif
}
bool includes(unsigned isa, unsigned part) { return (isa & part) == part; }

dnnl_cpu_isa_t isa_of(OneDnnCap cap) {
  switch (cap) {
    case OneDnnCap::kAvx512Bf16:
      return dnnl_cpu_isa_avx512_core_bf16;
    case OneDnnCap::kAvx512:
      return dnnl_cpu_isa_avx512_core;
    case OneDnnCap::kAvx2:
      return dnnl_cpu_isa_avx2;
    case OneDnnCap::kSse4:
      return dnnl_cpu_isa_sse41;
  }
  check_failed("known OneDnnCap", __FILE__, __LINE__);
}

}  // namespace

void limit_onednn_isa(OneDnnCap cap) {
  CHECK(dnnl_set_max_cpu_isa(isa_of(cap)) == dnnl_success,
        "oneDNN's instructions can only be limited before its first use");
}

std::string onednn_isa_name() {
  const unsigned isa = effective_isa();
  for (const Isa& known : kIsas) {
    if (includes(isa, known.bits))
      return isa == known.bits ? known.name : std::string(known.name) + "+";
  }
  return "generic";
}

bool onednn_has_avx512() { return includes(effective_isa(), dnnl_cpu_isa_avx512_core); }
bool onednn_multiplies_by_amx() { return includes(effective_isa(), dnnl_cpu_isa_avx512_core_amx); }
bool onednn_multiplies_bf16() { return includes(effective_isa(), dnnl_cpu_isa_avx512_core_bf16); }

}  // namespace borealis
