// Test binaries that link this run under the cap that BOREALIS_TEST_CPU_ISA names, as a run under
// --cpu-isa does: so paths are tested that this machine would not choose.
#include <cstdlib>

#include "kernels/cpu_isa.h"

namespace borealis {
namespace {

[[maybe_unused]] const bool kCapped = [] {
  const char* cap = std::getenv("BOREALIS_TEST_CPU_ISA");
  if (cap != nullptr) limit_cpu_isa(cap);
  return cap != nullptr;
}();

}  // namespace
}  // namespace borealis
