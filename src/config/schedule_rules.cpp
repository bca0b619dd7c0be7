#include "config/schedule_rules.h"

#include <fmt/format.h>

#include "config/lr_decay_style.h"

namespace borealis {
namespace {

void check_infinite_style(const ScheduleConfig& schedule, std::vector<std::string>& faults) {
  const std::string_view style = lr_decay_style_name(schedule.decay_style);
  if (schedule.min_learning_rate <= 0) {
    faults.push_back(
        fmt::format("LR_DECAY_STYLE={} falls by a logarithm and needs --min-lr above 0", style));
  }
  if (schedule.constant_learning_rate <= schedule.min_learning_rate ||
      schedule.constant_learning_rate > schedule.learning_rate) {
    faults.push_back(fmt::format(
        "LR_DECAY_STYLE={} needs --min-lr < --constant-lr <= LR, not {} < {} <= {}", style,
        schedule.min_learning_rate, schedule.constant_learning_rate, schedule.learning_rate));
  }
  const double parts =
      schedule.warmup_fraction + schedule.cooldown_fraction + schedule.constant_fraction;
  if (parts >= 1) {
    faults.push_back(
        fmt::format("LR_DECAY_STYLE={}: warmup, --cooldown-fraction and --constant-fraction add up "
                    "to {}, which leaves nothing for the last fall; lower one of them",
                    style, parts));
  }
}

void check_cooldown(const ScheduleConfig& schedule, std::vector<std::string>& faults) {
  if (schedule.decay_style != LrDecayStyle::kConstant) {
    faults.push_back(
        fmt::format("--lr_constant_plus_cooldown needs LR_DECAY_STYLE=constant, not {}",
                    lr_decay_style_name(schedule.decay_style)));
  }
  const double parts = schedule.warmup_fraction + schedule.constant_plus_cooldown_fraction;
  // As near to 1 as 0.3 + 0.7 is.
  if (parts > 1 + 1e-12) {
    faults.push_back(fmt::format(
        "LR_WARMUP_FRAC and --lr_constant_plus_cooldown_frac add up to {}: the learning "
        "rate would fall before it has risen, and jump; lower one of them",
        parts));
  }
}

}  // namespace

std::vector<std::string> schedule_faults(const ScheduleConfig& schedule) {
  std::vector<std::string> faults;
  if (is_infinite(schedule.decay_style)) check_infinite_style(schedule, faults);
  if (schedule.constant_plus_cooldown) check_cooldown(schedule, faults);
  return faults;
}

}  // namespace borealis
