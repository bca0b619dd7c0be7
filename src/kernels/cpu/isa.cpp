#include "kernels/cpu_isa.h"

// clang-format off
#include "kernels/cpu/targets.h"
#include <hwy/targets.h>
// clang-format on

#include <array>

#include "base/error.h"
#include "kernels/cpu/amx.h"
#include "kernels/onednn/isa.h"

namespace borealis {
namespace {

struct Cap {
  std::string_view name;
  int64_t disabled_targets;  // Highway's, all that are better than the cap
  OneDnnCap onednn;
};

constexpr int64_t kNone = 0;
constexpr int64_t kBeyondAvx512 = HWY_AVX3_DL;
constexpr int64_t kBeyondAvx2 = kBeyondAvx512 | HWY_AVX3;
constexpr int64_t kBeyondSse4 = kBeyondAvx2 | HWY_AVX2;
constexpr std::array<Cap, 4> kCaps = {Cap{"avx512_bf16", kNone, OneDnnCap::kAvx512Bf16},
                                      Cap{"avx512", kBeyondAvx512, OneDnnCap::kAvx512},
                                      Cap{"avx2", kBeyondAvx2, OneDnnCap::kAvx2},
                                      Cap{"sse4", kBeyondSse4, OneDnnCap::kSse4}};

std::string highway_target_name() {
  const auto best = hwy::SupportedTargets() & HWY_TARGETS;
  const int64_t target = best & -best;
  if (target == HWY_AVX3 || target == HWY_AVX3_DL) return "AVX-512";
  if (target == HWY_SCALAR) return "scalar";
  return hwy::TargetName(target);
}

std::string bf16_products_description() {
  if (amx_products_supported()) return "bf16 multiplied by AMX";
  return native_bf16_products() ? "bf16 multiplied in hardware" : "bf16 stored and f32 multiplied";
}

}  // namespace

void limit_cpu_isa(std::string_view cap) {
  if (cap == "native") return;
  for (const Cap& known : kCaps) {
    if (known.name != cap) continue;
    if (!HWY_ARCH_X86) {
      throw Error(ErrorKind::kConfig,
                  "the CPU instruction cap '" + std::string(cap) + "' is for x86 processors",
                  "use native");
    }
    allow_amx(false);
    hwy::DisableTargets(known.disabled_targets);
    limit_onednn_isa(known.onednn);
    return;
  }
  throw Error(ErrorKind::kConfig, "unknown CPU instruction cap '" + std::string(cap) + "'",
              "use native, avx512_bf16, avx512, avx2 or sse4");
}

std::string cpu_isa_description() {
  return highway_target_name() + " kernels (Highway), oneDNN " + onednn_isa_name() + ", " +
         bf16_products_description();
}

bool native_bf16_products() { return onednn_multiplies_bf16(); }

}  // namespace borealis
