#include "base/cores.h"

#include <fmt/format.h>
#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "base/system_text.h"
#include "base/text.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

// What OpenMP knows of it are the places that it binds threads to.
cpu_set_t starting_mask() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) CPU_SET(0, &set);
  for (int place = 0; place < omp_get_num_places(); ++place) {
    std::vector<int> processors(static_cast<size_t>(omp_get_place_num_procs(place)));
    omp_get_place_proc_ids(place, processors.data());
    for (const int one : processors) {
      if (one >= 0 && one < CPU_SETSIZE) CPU_SET(one, &set);
    }
  }
  return set;
}

std::string line_or_empty(const fs::path& path) {
  return std::string(trimmed(text_or_empty(path)));  // a container may be without /sys
}

}  // namespace

std::vector<int> usable_processors() {
  std::vector<int> processors;
  const cpu_set_t set = starting_mask();
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &set)) processors.push_back(i);
  }
  return processors;
}

void use_all_processors() {
  const cpu_set_t set = starting_mask();
  (void)::sched_setaffinity(0, sizeof set, &set);  // as it is where the system does not let us
}

int usable_physical_cores() {
  std::set<std::string> cores;  // by the list of their threads
  for (const int processor : usable_processors()) {
    const std::string threads = line_or_empty(
        fmt::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", processor));
    cores.insert(threads.empty() ? std::to_string(processor) : threads);
  }
  return static_cast<int>(cores.size());
}

int usable_numa_domains() {
  std::set<std::string> domains;
  for (const int processor : usable_processors()) {
    // Among what a processor's folder has is a link named after its domain, "node0".
    std::error_code unreadable;
    const fs::path folder = fmt::format("/sys/devices/system/cpu/cpu{}", processor);
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, unreadable)) {
      const std::string name = entry.path().filename();
      if (name.starts_with("node")) domains.insert(name);
    }
  }
  return std::max(1, static_cast<int>(domains.size()));
}

bool has_nvidia_driver() {
  std::error_code unknown;
  return std::filesystem::exists("/dev/nvidiactl", unknown);
}

int nvidia_gpus() {
  int count = 0;
  std::error_code unknown;
  while (std::filesystem::exists(fmt::format("/dev/nvidia{}", count), unknown)) ++count;
  return count;
}

}  // namespace borealis
