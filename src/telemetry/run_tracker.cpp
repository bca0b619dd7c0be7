#include "telemetry/run_tracker.h"

#include <fmt/format.h>

#include <chrono>
#include <exception>
#include <system_error>

#include "base/fault_text.h"
#include "base/side_thread.h"
#include "config/run_command.h"

namespace borealis {
namespace {

constexpr std::chrono::seconds kStatsInterval{15};
constexpr const char* kTensorBoard = "TensorBoard events";
constexpr const char* kWandb = "the Weights & Biases run";

}  // namespace

RunTracker::RunTracker(const RunConfig& config) : keeps_lines_(config.tracking.wandb) {
  if (!keeps_lines_) return;
  listener_ = std::make_unique<LogListener>([this](std::string_view line) { on_line(line); });
}

RunTracker::~RunTracker() {
  listener_.reset();
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  ends_.notify_all();
  if (system_watch_.joinable()) system_watch_.join();
}

template <typename Tracker, typename Write>
void RunTracker::attempt(const char* name, std::unique_ptr<Tracker>& tracker, Write write) {
  try {
    write(tracker);
  } catch (const std::exception& failure) {
    tracker.reset();
    failure_ += fmt::format("{}nothing more is written to {}, the run goes on: {}",
                            failure_.empty() ? "" : "\n  ", name, fault_text(failure));
  }
}

void RunTracker::warn() {
  std::string failure;
  {
    const std::lock_guard lock(mutex_);
    failure.swap(failure_);
  }
  if (!failure.empty()) log_warning(failure);
}

void RunTracker::begin(const RunConfig& config, const RunSummary& begun,
                       const RunHistory& history) {
  bool has_events = false;
  std::string wandb_folder;
  {
    const std::lock_guard lock(mutex_);
    attempt(kTensorBoard, tensorboard_, [&](auto& tracker) {
      if (config.tracking.tensorboard) {
        tracker = std::make_unique<TensorBoard>(config, begun, history);
      }
    });
    has_events = tensorboard_ != nullptr;
    attempt(kWandb, wandb_, [&](auto& tracker) {
      if (!config.tracking.wandb) return;
      tracker = std::make_unique<WandbRun>(config, begun, history);
      for (const ConsoleLine& line : early_lines_) tracker->write_console(line.time, line.text);
      wandb_folder = tracker->folder().string();
    });
    early_lines_ = {};
    keeps_lines_ = false;
  }
  warn();
  if (has_events) {
    log_info(fmt::format("TensorBoard events: {}", tensorboard_folder(config).string()));
  }
  if (wandb_folder.empty()) return;
  log_info(fmt::format("Weights & Biases: {}an offline run, `wandb sync {}` sends it",
                       config.tracking.wandb_online ? "WANDB_MODE=online sends nothing here; " : "",
                       shell_quoted(wandb_folder)));
  try {
    system_watch_ = start_side_thread([this] { watch_system(); });
  } catch (const std::system_error&) {
    // No thread to be had: the run has one sample, at its end.
  }
}

void RunTracker::on_line(std::string_view line) {
  const WandbTime now = std::chrono::system_clock::now();
  const std::lock_guard lock(mutex_);
  if (keeps_lines_) early_lines_.push_back({now, std::string(line)});
  attempt(kWandb, wandb_, [&](auto& tracker) {
    if (tracker) tracker->write_console(now, line);
  });
}

void RunTracker::watch_system() {
  std::unique_lock lock(mutex_);
  while (!ends_.wait_for(lock, kStatsInterval, [this] { return ended_; })) {
    attempt(kWandb, wandb_, [](auto& tracker) {
      if (tracker) tracker->write_stats();
    });
  }
}

template <typename Record>
void RunTracker::write_to_both(const Record& record) {
  {
    const std::lock_guard lock(mutex_);
    const auto write = [&](auto& tracker) {
      if (tracker) tracker->write(record);
    };
    attempt(kTensorBoard, tensorboard_, write);
    attempt(kWandb, wandb_, write);
  }
  warn();
}

void RunTracker::write(const StepRecord& step) { write_to_both(step); }

void RunTracker::write(const ValidationRecord& record) { write_to_both(record); }

void RunTracker::end(const RunSummary& summary, int exit_code) {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    attempt(kTensorBoard, tensorboard_, [](auto& tracker) {
      if (tracker) tracker->end();
    });
    attempt(kWandb, wandb_, [&](auto& tracker) {
      if (tracker) tracker->end(summary, exit_code);
    });
    tensorboard_.reset();
    wandb_.reset();
  }
  ends_.notify_all();
  warn();
}

}  // namespace borealis
