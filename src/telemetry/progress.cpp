#include "telemetry/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "base/terminal.h"
#include "base/units.h"
#include "config/run_config_loader.h"

namespace borealis {
namespace {

constexpr int kBarColumns = 24;
constexpr int kNarrowestWithBar = 60;
constexpr std::string_view kEraseLine = "\r\x1b[2K";

std::string time_left_text(std::optional<double> seconds_left) {
  return seconds_left ? format_duration(*seconds_left) + " left" : "";
}

}  // namespace

std::string progress_bar(double share, int columns) {
  const auto size = static_cast<size_t>(std::max(columns, 0));
  const auto full = static_cast<size_t>(std::clamp(share, 0.0, 1.0) * static_cast<double>(size));
  std::string bar(full, '=');
  if (full < size) bar += '>';
  bar.resize(size, ' ');
  return '[' + bar + ']';
}

void TimeLeft::add(const StepRecord& step) {
  steps_left_ = std::max<int64_t>(0, total_steps_ - step.iteration);
  if (!std::isfinite(step.elapsed_ms)) return;
  if (std::exchange(global_batch_size_, step.global_batch_size) != step.global_batch_size)
    seen_ = 0;
  if (++seen_ <= 2) recent_ms_ = recent_steps_ = 0;
  const double kept = std::exp(-1e-3 * std::max(0.0, step.elapsed_ms) / kMemoryS);
  recent_ms_ = kept * recent_ms_ + step.elapsed_ms;
  recent_steps_ = kept * recent_steps_ + 1;
}

std::optional<double> TimeLeft::seconds() const {
  constexpr double kMost = 1000.0 * 365 * 86400;
  if (seen_ == 0) return std::nullopt;
  const double seconds = 1e-3 * recent_ms_ / recent_steps_ * static_cast<double>(steps_left_);
  return seconds <= kMost ? std::optional(seconds) : std::nullopt;
}

std::string format_status(const StepRecord& step, int64_t total_steps,
                          std::optional<double> seconds_left, int columns) {
  std::string text = fmt::format("{}/{}", step.iteration, total_steps);
  text += step.skipped ? "  step skipped" : fmt::format("  loss {:.3f}", step.lm_loss);
  if (std::isfinite(step.tokens_per_gpu_per_second)) {
    text +=
        fmt::format("  {} tokens/s", format_count(std::llround(step.tokens_per_gpu_per_second)));
  }
  if (seconds_left) text += "  " + time_left_text(seconds_left);
  // Figures tell more than a bar.
  const bool has_room = columns >= kBarColumns + 3 + static_cast<int>(text.size()) + 1;
  if (columns >= kNarrowestWithBar && total_steps > 0 && has_room) {
    const double share = static_cast<double>(step.iteration) / static_cast<double>(total_steps);
    text = progress_bar(share, kBarColumns) + ' ' + text;
  }
  // The last column stays free: some terminals wrap when it is written.
  if (columns > 1) text.resize(std::min(text.size(), static_cast<size_t>(columns) - 1));
  return text;
}

ProgressOptions progress_on_stderr(int64_t total_steps, bool wanted) {
  ProgressOptions options;
  options.total_steps = total_steps;
  options.terminal =
      wanted && can_redraw(STDERR_FILENO, process_environment()("TERM").value_or(""));
  options.columns = terminal_columns(STDERR_FILENO).value_or(options.columns);
  options.sink = [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
  };
  return options;
}

Progress::Progress(ProgressOptions options)
    : options_(std::move(options)), time_left_(options_.total_steps) {}

Progress::~Progress() { erase(); }

void Progress::update(const StepRecord& step) {
  last_ = step;
  time_left_.add(step);
  if (!options_.terminal) return;
  // A line erased for a log message comes back at once; else redrawing has its own pace.
  const bool due = !ever_drawn_ || since_draw_.elapsed_ms() >= options_.redraw_ms;
  if (drawn_ && !due) return;
  options_.sink(fmt::format(
      "{}{}", kEraseLine,
      format_status(last_, options_.total_steps, time_left_.seconds(), options_.columns)));
  drawn_ = ever_drawn_ = true;
  since_draw_ = Stopwatch();
}

void Progress::erase() {
  if (!drawn_) return;
  options_.sink(kEraseLine);
  drawn_ = false;
}

std::optional<std::string> Progress::log_line() {
  if (options_.terminal || since_log_.elapsed_s() < options_.log_every_s) return std::nullopt;
  const std::optional<double> seconds_left = time_left_.seconds();
  if (!seconds_left || last_.iteration >= options_.total_steps) return std::nullopt;
  since_log_ = Stopwatch();
  return fmt::format("{} of {} steps done, {}", last_.iteration, options_.total_steps,
                     time_left_text(seconds_left));
}

}  // namespace borealis
