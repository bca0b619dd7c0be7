#include "cli/work_progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "base/log.h"
#include "base/terminal.h"
#include "base/units.h"
#include "config/run_config_loader.h"

namespace borealis {
namespace {
constexpr double kRedrawSeconds = 0.1;
constexpr double kLogSeconds = 30;
}  // namespace

WorkProgress::WorkProgress(std::string what)
    : what_(std::move(what)),
      terminal_(can_redraw(STDERR_FILENO, process_environment()("TERM").value_or(""))),
      start_(Clock::now()),
      last_(start_) {}

WorkProgress::~WorkProgress() {
  if (drawn_) std::fputs("\r\x1b[K", stderr);
}

void WorkProgress::update(int64_t done, int64_t total, int64_t worked_bytes) {
  const auto now = Clock::now();
  if (first_done_ < 0) first_done_ = done;
  const double since = std::chrono::duration<double>(now - last_).count();
  if (since < (terminal_ ? kRedrawSeconds : kLogSeconds) || total <= 0 || done <= first_done_) {
    return;
  }
  last_ = now;
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  std::string text = fmt::format("{}: {:.0f} %", what_,
                                 100 * static_cast<double>(done) / static_cast<double>(total));
  if (worked_bytes > 0) {
    text += fmt::format(", {:.1f} MB/s", static_cast<double>(worked_bytes) * 1e-6 / elapsed);
  }
  text += fmt::format(", {} left", format_duration(elapsed * static_cast<double>(total - done) /
                                                   static_cast<double>(done - first_done_)));
  if (!terminal_) {
    log_info(text);
    return;
  }
  std::fputs(fmt::format("\r\x1b[K{}", text).c_str(), stderr);
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace borealis
