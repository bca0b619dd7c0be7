// This process among others.
#pragma once

namespace borealis {

double process_age_s();  // since the kernel started it; resolution 10 ms
int usable_cores();      // in this process's affinity mask

}  // namespace borealis
