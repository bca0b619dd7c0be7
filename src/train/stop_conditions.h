// Why a run ends before its last iteration, in the reference's order (contract section 10.2).
#pragma once

#include <optional>
#include <string>

#include "config/run_config.h"
#include "train/signals.h"

namespace borealis {

class StopConditions {
 public:
  explicit StopConditions(const ScheduleLimits& limits) : limits_(limits) {}

  // Before the first step: a signal that has arrived, or the kill-switch file.
  std::optional<std::string> before_training() const;
  // A signal, which stops a run before its interval's save.
  std::optional<std::string> signal() const;
  // After the save of an iteration: "exit_duration", "exit_interval" or "kill_switch".
  std::optional<std::string> after(int64_t iteration) const;

 private:
  bool kill_switch() const;

  const ScheduleLimits& limits_;
  SignalWatch signals_;
};

}  // namespace borealis
