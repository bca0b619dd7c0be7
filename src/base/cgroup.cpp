#include "base/cgroup.h"

#include <algorithm>
#include <sstream>

#include "base/system_text.h"

namespace borealis {
namespace {

// "cpu,cpuacct" has "cpu", "cpuset" does not.
bool has_controller(const std::string& controllers, std::string_view controller) {
  std::istringstream words(controllers);
  for (std::string word; std::getline(words, word, ',');) {
    if (word == controller) return true;
  }
  return false;
}

}  // namespace

void for_each_cgroup(
    std::string_view controller,
    const std::function<void(const std::filesystem::path& folder, CgroupVersion)>& visit) {
  std::istringstream lines(text_or_empty("/proc/self/cgroup"));
  std::string line;
  while (std::getline(lines, line)) {  // "id:controllers:/path"
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (!controllers.empty() && !has_controller(controllers, controller)) continue;
    std::filesystem::path root = "/sys/fs/cgroup";
    if (!controllers.empty()) root /= controller;
    std::filesystem::path group = std::filesystem::path(line.substr(second + 1)).relative_path();
    for (;;) {
      visit(root / group, controllers.empty() ? CgroupVersion::kV2 : CgroupVersion::kV1);
      if (group.empty()) break;
      group = group.parent_path();
    }
  }
}

std::optional<double> quota_of(const std::string& text) {
  std::istringstream words(text);
  double quota = 0, period = 0;
  if (!(words >> quota >> period) || quota <= 0 || period <= 0) return std::nullopt;
  return quota / period;
}

std::optional<double> cpu_quota() {
  std::optional<double> tightest;
  for_each_cgroup("cpu", [&](const std::filesystem::path& folder, CgroupVersion version) {
    const auto quota =
        quota_of(version == CgroupVersion::kV2 ? text_or_empty(folder / "cpu.max")
                                               : text_or_empty(folder / "cpu.cfs_quota_us") + " " +
                                                     text_or_empty(folder / "cpu.cfs_period_us"));
    if (quota) tightest = std::min(*quota, tightest.value_or(*quota));
  });
  return tightest;
}

}  // namespace borealis
