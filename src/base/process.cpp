#include "base/process.h"

#include <sched.h>
#include <unistd.h>

#include <ctime>
#include <sstream>
#include <string>

#include "base/file.h"

namespace borealis {

double process_age_s() {
  // The name in parentheses may contain anything; fields are counted from behind it. starttime is
  // the 22nd of all, the 20th after the name, in ticks since boot.
  const std::string stat = read_text_file("/proc/self/stat");
  std::istringstream fields(stat.substr(stat.rfind(')') + 2));
  std::string field;
  for (int i = 0; i < 20; ++i) fields >> field;
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  const double start = std::stod(field) / static_cast<double>(sysconf(_SC_CLK_TCK));
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec) - start;
}

int usable_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return CPU_COUNT(&set);
}

}  // namespace borealis
