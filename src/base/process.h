// This process among others.
#pragma once

namespace borealis {

double process_age_s();  // since the program was loaded
int usable_cores();      // in the affinity mask that this process started with

}  // namespace borealis
