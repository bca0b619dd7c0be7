// How far a run is and when it will end. On a terminal: one status line on stderr, rewritten in
// place, that never reaches output.log. Elsewhere: nothing but, every half minute, a line for the
// log with the time left.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/stopwatch.h"
#include "telemetry/step_record.h"

namespace borealis {

// Seconds until the run ends, at the pace of the last minutes: what lies back by kMemoryS counts a
// third, so that validations and saves between the steps have their share. The first step, which
// holds start-up, counts only until there is a second, and so do steps of another global batch.
class TimeLeft {
 public:
  explicit TimeLeft(int64_t total_steps) : total_steps_(total_steps) {}
  void add(const StepRecord& step);
  // None before the first step, and where it would be more than a thousand years.
  std::optional<double> seconds() const;
  static constexpr double kMemoryS = 120;

 private:
  int64_t total_steps_;
  int64_t steps_left_ = 0;
  int64_t seen_ = 0;  // of this global batch
  int64_t global_batch_size_ = 0;
  double recent_ms_ = 0;
  double recent_steps_ = 0;
};

// "[=====>    ]" with so many columns between its ends.
std::string progress_bar(double share, int columns);

// "[=====>    ]  42/300  loss 3.214  5 120 tokens/s  2 min 10 s left", cut to `columns`.
std::string format_status(const StepRecord& step, int64_t total_steps,
                          std::optional<double> seconds_left, int columns);

struct ProgressOptions {
  int64_t total_steps = 0;
  bool terminal = false;                       // stderr is a terminal and wants a status line
  int columns = 80;                            // of that terminal
  std::function<void(std::string_view)> sink;  // where the status line goes
  double redraw_ms = 100;                      // at most one status line in this time
  double log_every_s = 30;                     // without a terminal
};
// For this process's stderr. `wanted`: OutputConfig::progress.
ProgressOptions progress_on_stderr(int64_t total_steps, bool wanted);

class Progress {
 public:
  explicit Progress(ProgressOptions options);
  ~Progress();  // erases the status line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // After every step. Call erase() before anything is logged and update() after it.
  void update(const StepRecord& step);
  void erase();
  // Without a terminal: at most every log_every_s, a sentence for log_info. Else nothing.
  std::optional<std::string> log_line();

 private:
  ProgressOptions options_;
  TimeLeft time_left_;
  StepRecord last_;
  Stopwatch since_draw_;
  Stopwatch since_log_;
  bool drawn_ = false;
  bool ever_drawn_ = false;
};

}  // namespace borealis
