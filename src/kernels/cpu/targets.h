// Include before any Highway header: SSSE3 alone (no SSE4) is not worth compiling everything for;
// such a CPU takes the scalar path. SVE's vectors have no size and can be no members; its CPUs take
// NEON, which on Grace (Neoverse V2) is as wide.
#pragma once

#include <hwy/detect_compiler_arch.h>

#ifndef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#endif
