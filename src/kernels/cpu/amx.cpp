#include "kernels/cpu/amx.h"

#include <atomic>

#include "kernels/onednn/isa.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace borealis {
namespace {

#if defined(__x86_64__) && defined(__linux__)

constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
constexpr int kTileData = 18;               // its number among the kernel's register states

bool cpu_has_amx_bf16() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  constexpr unsigned kAmxBf16 = 1u << 22, kAmxTile = 1u << 24;
  return (edx & kAmxBf16) != 0 && (edx & kAmxTile) != 0;
}

bool is_permitted() { return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0; }

bool process_has_amx() {
  static const bool has = cpu_has_amx_bf16() && is_permitted();
  return has;
}

#else

bool process_has_amx() { return false; }

#endif

std::atomic<bool> allowed_here = true;

}  // namespace

bool amx_products_supported() {
  return allowed_here.load(std::memory_order_relaxed) && onednn_multiplies_by_amx() &&
         process_has_amx();
}

void allow_amx(bool allowed) { allowed_here.store(allowed, std::memory_order_relaxed); }

}  // namespace borealis
