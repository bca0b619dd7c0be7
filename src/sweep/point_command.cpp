#include "sweep/point_command.h"

#include <fmt/format.h>

#include <algorithm>

namespace borealis {
namespace {

std::string name_of(const std::string& flag) { return flag.substr(0, flag.find('=')); }

// Null for what is no flag of a run; the loader says more of it.
const OptionRow* row_of(const std::string& flag) {
  return flag.starts_with("--") ? find_flag(name_of(flag)) : nullptr;
}

}  // namespace

std::vector<std::string> point_flags(const std::vector<std::string>& flags, int64_t steps) {
  std::vector<std::string> all = flags;
  for (const char* flag : {"--eval-interval", "0", "--split", "1,0,0", "--no-save", "--no-load",
                           "--no-progress", "--train-iters"}) {
    all.emplace_back(flag);
  }
  all.push_back(std::to_string(steps));
  return all;
}

void check_flags(const std::vector<std::string>& flags, const std::vector<Grid>& grids,
                 Problems& problems) {
  for (const std::string& flag : flags) {
    const OptionRow* row = row_of(flag);
    if (row == nullptr) continue;
    if (const std::string_view instead = own_setting(*row); !instead.empty()) {
      problems.settings.push_back(fmt::format("{} is not for a sweep: {}", name_of(flag), instead));
    }
    check_flags_of_grid({flag}, grids, problems);
  }
}

void check_flags_of_grid(const std::vector<std::string>& flags, const std::vector<Grid>& grids,
                         Problems& problems) {
  for (const std::string& flag : flags) {
    const OptionRow* row = row_of(flag);
    if (row == nullptr) continue;
    const bool in_grid = std::ranges::any_of(grids, [row](const Grid& grid) {
      return std::ranges::any_of(
          grid.axes, [row](const GridAxis& axis) { return find_variable(axis.variable) == row; });
    });
    if (in_grid) {
      problems.settings.push_back(
          fmt::format("{} would set {} for all points, which the grid varies; give one of them",
                      name_of(flag), row->variable));
    }
  }
}

std::vector<EnvironmentChange> point_environment(const PointSettings& settings,
                                                 const Environment& environment,
                                                 const std::string& cache_path) {
  constexpr const char* kCache = "DATA_CACHE_PATH";
  std::vector<EnvironmentChange> changes;
  for (const auto& [variable, value] : settings) {
    changes.emplace_back(variable, value);
    for (const std::string_view alias : find_variable(variable)->aliases) {
      changes.emplace_back(std::string(alias), std::nullopt);
    }
  }
  changes.emplace_back("LOAD", std::nullopt);  // a measurement starts from scratch
  const bool given = std::ranges::find(changes, kCache, &EnvironmentChange::first) != changes.end();
  if (!given && !set_value(environment, kCache)) changes.emplace_back(kCache, cache_path);
  return changes;
}

Environment with_changes(Environment environment, std::vector<EnvironmentChange> changes) {
  return [environment = std::move(environment),
          changes = std::move(changes)](const std::string& name) -> std::optional<std::string> {
    const auto change = std::ranges::find(changes, name, &EnvironmentChange::first);
    return change != changes.end() ? change->second : environment(name);
  };
}

}  // namespace borealis
