#include "watch/run_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/units.h"
#include "telemetry/step_text.h"

namespace borealis {
namespace {

constexpr const char* kUnknown = "-";

Style style_of(RunCondition state) {
  switch (state) {
    case RunCondition::kStarting:
    case RunCondition::kRunning:
      return Style::kBold;
    case RunCondition::kFinished:
      return Style::kGood;
    case RunCondition::kStopped:
    case RunCondition::kSilent:
    case RunCondition::kGone:
      return Style::kWarning;
    case RunCondition::kFailed:
    case RunCondition::kKilled:
      return Style::kBad;
  }
  return Style::kPlain;
}

// Minutes are enough for silence. `brief`: in five columns.
std::string silence_text(double seconds, bool brief) {
  const auto text = [&](double unit_s, const char* letter, const char* word) {
    const double units = std::min(std::floor(seconds / unit_s), 9999.0);
    return brief ? fmt::format("{:.0f}{}", units, letter) : fmt::format("{:.0f} {}", units, word);
  };
  if (seconds < 3600) return text(60, "m", "min");
  if (seconds < 48 * 3600) return text(3600, "h", "h");
  return text(86400, "d", "days");
}

StyledPart grad_norm_of(const StepRecord* step) {
  if (step == nullptr) return {kUnknown};
  return {grad_norm_text(step->grad_norm)};
}

std::string token_rate_of(const WatchedRun& run, const StepRecord& step) {
  const double rate = step.tokens_per_gpu_per_second;
  const auto ranks = run.summary.world_size;
  if (ranks <= 1) return token_rate_text(rate);
  return fmt::format("{} a rank, {} in all", token_rate_text(rate),
                     token_rate_text(rate * static_cast<double>(ranks)));
}

std::string machine_text(const WatchedRun& run) {
  std::string text = bytes_text(run.summary.machine.memory_bytes);
  if (run.is_going() && run.system && run.system->available_bytes > 0) {
    text += fmt::format(", {} free", format_bytes(run.system->available_bytes));
  }
  return text;
}

std::string power_text(const WatchedRun& run) {
  if (!run.is_going() || !run.system || std::isnan(run.system->power_watts)) return kUnknown;
  return fmt::format("{:.0f} W", run.system->power_watts);
}

StyledPart skipped_of(const StepRecord* step) {
  if (step == nullptr) return {kUnknown};
  const int64_t skipped = step->skipped_iterations;
  if (skipped == 0) return {"none"};
  return {fmt::format("{} step{}", format_count(skipped), skipped == 1 ? "" : "s"),
          Style::kWarning};
}

std::string validation_text(const WatchedRun& run) {
  if (!run.validation) return kUnknown;
  return fmt::format("{} at {}", loss_text(run.validation->lm_loss), run.validation->iteration);
}

std::string checkpoint_text(const WatchedRun& run, bool unicode) {
  if (run.checkpoint.empty()) return kUnknown;
  return one_line(std::filesystem::path(run.checkpoint).filename().string(), unicode);
}

}  // namespace

StyledPart state_text(const RunLife& life, bool brief, bool unicode) {
  const Style style = life.stalled_s > 0 ? Style::kWarning : style_of(life.state);
  const std::string reason = one_line(life.reason, unicode);
  switch (life.state) {
    case RunCondition::kStopped:
      // A signal's name fits a column; names of conditions do not.
      if (brief) return {reason.starts_with("SIG") ? reason : "stopped", style};
      return {"stopped by " + reason, style};
    case RunCondition::kFailed:
      return {brief || reason.empty() ? "failed" : "failed: " + reason, style};
    case RunCondition::kKilled:
      return {brief ? "killed" : "killed: its process is gone", style};
    case RunCondition::kSilent:
      return {(brief ? "silent " : "no sign of life for ") + silence_text(life.silent_s, brief),
              style};
    case RunCondition::kGone:
      return {brief ? "gone" : "its folder is gone", style};
    case RunCondition::kRunning:
      if (life.stalled_s == 0) return {"running", style};
      return {
          (brief ? "no step " : "running, but no step for ") + silence_text(life.stalled_s, brief),
          style};
    default:
      return {std::string(run_condition_name(life.state)), style};
  }
}

std::string iteration_text(const WatchedRun& run) {
  const StepRecord* step = run.last_step();
  const int64_t iteration = step == nullptr ? run.summary.resumed_at_iteration : step->iteration;
  return run.train_iters > 0 ? fmt::format("{}/{}", iteration, run.train_iters)
                             : fmt::format("{}", iteration);
}

std::string time_left_text(const WatchedRun& run) {
  if (run.train_iters == 0 || !run.seconds_left) return "";
  return format_duration(*run.seconds_left) + " left";
}

StyledPart last_loss(const WatchedRun& run) {
  const StepRecord* step = run.last_step();
  if (step == nullptr) return {kUnknown};
  if (step->skipped) return {"skipped", Style::kWarning};
  return {loss_text(step->lm_loss), std::isfinite(step->lm_loss) ? Style::kBold : Style::kBad};
}

std::string memory_text(const WatchedRun& run) {
  if (!run.is_going() && run.summary.peak_memory_bytes > 0) {
    return format_bytes(run.summary.peak_memory_bytes) + " peak";
  }
  return run.system ? bytes_text(run.system->resident_bytes) : kUnknown;
}

std::vector<RunField> run_fields(const WatchedRun& run, bool unicode) {
  const StepRecord* step = run.last_step();
  const auto of_step = [step](auto text) -> StyledPart {
    return {step == nullptr ? kUnknown : text(*step)};
  };
  return {
      {"loss", last_loss(run)},
      {"grad norm", grad_norm_of(step)},
      {"tokens/s", of_step([&](const auto& s) { return token_rate_of(run, s); })},
      {"step time", of_step([](const auto& s) { return step_time_text(s.elapsed_ms); })},
      {"TFLOPs", of_step([](const auto& s) { return tflops_text(s.tflops); })},
      {"of GEMM", of_step([](const auto& s) { return gemm_share_text(s.gemm_share); })},
      {"memory", {memory_text(run)}},
      {"planned", {bytes_text(run.summary.planned_memory_bytes)}},
      {"machine", {machine_text(run)}},
      {"power", {power_text(run)}},
      {"lr", of_step([](const auto& s) { return learning_rate_text(s.learning_rate); })},
      {"skipped", skipped_of(step)},
      {"validation", {validation_text(run)}},
      {"checkpoint", {checkpoint_text(run, unicode)}},
  };
}

}  // namespace borealis
