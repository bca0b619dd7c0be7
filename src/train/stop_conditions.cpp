#include "train/stop_conditions.h"

#include <filesystem>

#include "base/process.h"

namespace borealis {

bool StopConditions::kill_switch() const {
  std::error_code unknown;
  return !limits_.kill_switch_file.empty() &&
         std::filesystem::exists(limits_.kill_switch_file, unknown);
}

std::optional<std::string> StopConditions::signal() const {
  const char* name = signals_.received();
  return name == nullptr ? std::nullopt : std::optional<std::string>(name);
}

std::optional<std::string> StopConditions::before_training() const {
  if (auto name = signal()) return name;
  if (kill_switch()) return "kill_switch";
  return std::nullopt;
}

std::optional<std::string> StopConditions::after(int64_t iteration) const {
  if (limits_.exit_duration_mins && process_age_s() > *limits_.exit_duration_mins * 60) {
    return "exit_duration";
  }
  const bool is_last = iteration == limits_.train_iters;  // and the run complete
  if (limits_.exit_interval && iteration % *limits_.exit_interval == 0 && !is_last) {
    return "exit_interval";
  }
  if (kill_switch()) return "kill_switch";
  return std::nullopt;
}

}  // namespace borealis
