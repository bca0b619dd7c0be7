#include "base/process.h"

#include <sched.h>

#include <chrono>

namespace borealis {

namespace {

// Set when the program is loaded. The kernel's own start time is no use: it outlives exec, and so
// would count the install and the build of the script that became this program.
const std::chrono::steady_clock::time_point program_start = std::chrono::steady_clock::now();

}  // namespace

double process_age_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - program_start).count();
}

int usable_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return CPU_COUNT(&set);
}

}  // namespace borealis
