// What the control groups around this process limit, of either version.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace borealis {

enum class CgroupVersion { kV1, kV2 };

// Visits the folders of this process's group and of those around it, to the root: in the unified
// hierarchy, and in that of the controller ("memory", "cpu") where it has one of its own. A folder
// may not exist: a container sees its own group as the root, under the path of its host.
void for_each_cgroup(
    std::string_view controller,
    const std::function<void(const std::filesystem::path& folder, CgroupVersion)>& visit);

// Processors' time per time that this process may use, by the tightest quota of its groups.
std::optional<double> cpu_quota();
// By the text of cpu.max, or of cpu.cfs_quota_us and cpu.cfs_period_us: "200000 100000" is 2. None:
// it says "max" or -1, or is no quota.
std::optional<double> quota_of(const std::string& text);

}  // namespace borealis
