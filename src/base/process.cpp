#include "base/process.h"

#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

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
  const int mine = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  // Under OMP_PROC_BIND the main thread is bound to its own place before main(); OpenMP knows the
  // mask that the process started with.
  return std::max(mine, omp_get_num_procs());
}

void require_threads(int threads) {
  std::mutex hold;
  std::vector<std::jthread> started;
  const std::lock_guard all_at_once(hold);
  for (int i = 1; i < threads; ++i) {
    started.emplace_back([&hold] { const std::lock_guard wait(hold); });
  }
}

}  // namespace borealis
