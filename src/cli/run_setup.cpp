#include "cli/run_setup.h"

#include <malloc.h>
#include <omp.h>

#include <limits>

#include "base/process.h"
#include "data/batch_loader.h"
#include "kernels/cpu_isa.h"

namespace borealis {

int prepare_machine(const RunConfig& config) {
  // oneDNN's products allocate packing buffers anew in every call. Mapped one by one their pages
  // would be had, cleared and given back in every call, which took a fifth of the time of a large
  // vocabulary's head; in per-thread heaps they would fragment and grow by tens of MiB. One heap
  // that gives nothing back holds the largest of them once, which the memory plan counts.
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the most that glibc takes
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  limit_cpu_isa(config.machine.cpu_isa);
  const int threads =
      config.machine.threads > 0 ? static_cast<int>(config.machine.threads) : usable_cores();
  omp_set_num_threads(threads);
  omp_set_dynamic(0);
  return threads;
}

int64_t planned_data_bytes(const RunConfig& config) {
  if (!config.data.mock_data && config.data.data_file_list.empty()) {
    RunConfig without_list = config;
    without_list.data.mock_data = true;
    return planned_data_bytes(without_list);
  }
  return data_memory_bytes(config, describe_data(config));
}

}  // namespace borealis
