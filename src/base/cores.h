// The processor that this process may use, and whether there is a GPU, by what counts when ranks
// are placed on them.
#pragma once

#include <vector>

namespace borealis {

// Of the affinity mask that this process started with: under OMP_PROC_BIND the main thread has one
// place of it since before main().
std::vector<int> usable_processors();
// Gives this thread, and so the processes that it starts, all of them.
void use_all_processors();

// Of the affinity mask: hardware threads of one core count once.
int usable_physical_cores();
// Memory domains that have one of these cores; 1 where the system does not tell.
int usable_numa_domains();

// Whether a driver of NVIDIA's is on this machine, and how many GPUs it has; costs nothing.
bool has_nvidia_driver();
int nvidia_gpus();

}  // namespace borealis
