// The processor that this process may use, by what counts when ranks are placed on it.
#pragma once

namespace borealis {

// Of the affinity mask: hardware threads of one core count once.
int usable_physical_cores();
// Memory domains that have one of these cores; 1 where the system does not tell.
int usable_numa_domains();

}  // namespace borealis
