// Include before any Highway header: SSSE3 alone (no SSE4) is not worth compiling everything for;
// such a CPU takes the scalar path.
#pragma once

#include <hwy/detect_compiler_arch.h>

#ifndef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS HWY_SSSE3
#endif
