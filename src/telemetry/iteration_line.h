// The lines that a run logs about its steps, in the reference trainer's fields, order, widths and
// units, so that scripts written for its logs read ours. Pure functions of numbers; the caller
// hands the text to log_info.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "telemetry/step_record.h"

namespace borealis {

// What stays the same from line to line.
struct IterationLineContext {
  int64_t train_iters = 0;
  int64_t seq_length = 0;
  // Of bf16 with ZeRO stages from 1 on, where the reference has the field: it is 1.
  bool has_loss_scale = false;
};

// One line stands for the steps since the previous one (LOG_INTERVAL).
struct IterationLine {
  StepRecord last;      // the last step; its times, rates and losses are means over the interval
  int64_t steps = 0;    // in the interval
  int64_t skipped = 0;  // in the interval
  int64_t nan = 0;      // skipped steps of the interval whose loss was not finite
};

class IterationInterval {
 public:
  void add(const StepRecord& step);
  int64_t steps() const { return line_.steps; }
  // Times are per step; rates follow from the mean time, not from the mean of rates; the loss is
  // the mean over the steps that were not skipped. Starts the next interval. Requires steps() > 0.
  IterationLine take();

 private:
  IterationLine line_;
  double loss_sum_ = 0;
  int64_t passed_over_ = 0;  // steps that computed nothing
};

// " iteration=       5/     100 | consumed_samples=         240 | ... | TFLOPs=23.67 |". The loss
// appears if positive (so not where every step was skipped), the gradient norm if known.
std::string format_iteration_line(const IterationLine& line, const IterationLineContext& context);
// The line of a single step, LOG_INTERVAL=1.
std::string format_iteration_line(const StepRecord& step, const IterationLineContext& context);

// "(min, max) time across ranks (ms):" and one indented line a timer, joined by newlines. Level 1
// has forward-backward (which includes fetching the batches) and optimizer, level 2 adds the parts.
// Empty at level 0.
std::string format_timers(const IterationLine& line, int64_t timing_log_level);

// The validation message between two dashed lines; three lines joined by newlines. While training:
// " validation loss at iteration 100 | lm loss value=2.345678lm loss PPL=10.440328".
// After the last step it says what set it is of and how many samples were drawn.
std::string format_validation(const ValidationRecord& record);
// Why a step made no update, for the log.
std::string format_skipped(const StepRecord& step);
// "Evaluating iter 3/20", a line before the final message.
std::string format_evaluation(int64_t round, int64_t rounds);

}  // namespace borealis
