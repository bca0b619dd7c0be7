#include "cli/work_progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "base/log.h"
#include "base/units.h"

namespace borealis {
namespace {
constexpr double kRedrawSeconds = 0.1;
constexpr double kLogSeconds = 30;
}  // namespace

WorkProgress::WorkProgress(std::string what)
    : what_(std::move(what)),
      terminal_(::isatty(STDERR_FILENO) != 0),
      start_(Clock::now()),
      last_(start_) {}

WorkProgress::~WorkProgress() {
  if (drawn_) fmt::print(stderr, "\r\x1b[K");
}

void WorkProgress::update(int64_t done, int64_t total) {
  const auto now = Clock::now();
  const double since = std::chrono::duration<double>(now - last_).count();
  if (since < (terminal_ ? kRedrawSeconds : kLogSeconds) || total <= 0 || done <= 0) return;
  last_ = now;
  const double share = static_cast<double>(done) / static_cast<double>(total);
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  const std::string text = fmt::format("{}: {:.0f} %, {} left", what_, 100 * share,
                                       format_duration(elapsed * (1 - share) / share));
  if (!terminal_) {
    log_info(text);
    return;
  }
  fmt::print(stderr, "\r\x1b[K{}", text);
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace borealis
