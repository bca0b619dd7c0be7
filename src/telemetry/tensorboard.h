// What of a run goes into its TensorBoard event file: numbers of steps and validations by
// iteration, validations also by samples and by tokens under the tags of the reference trainer
// (contract section 6.4), and the configuration as a text.
#pragma once

#include <optional>

#include "config/run_config.h"
#include "telemetry/event_file.h"
#include "telemetry/metrics_file.h"
#include "telemetry/run_summary.h"
#include "telemetry/tracked_metrics.h"

namespace borealis {

// Where the events of the run are: --tensorboard-dir, or RUN_DIR/tensorboard.
std::filesystem::path tensorboard_folder(const RunConfig& config);

class TensorBoard {
 public:
  // A run that goes on begins with the events of its history, as its metrics do, which are read
  // from config.output.run_dir: one file tells the whole run, and readers are told to forget what
  // the folder has from before. Their wall times are as if the run had never been interrupted.
  // Throws Error, here and below.
  TensorBoard(const RunConfig& config, const RunSummary& begun, const RunHistory& history);

  // Counts stay out, for a scalar of f32 holds them only up to 2^24: the step is one.
  void write(const StepRecord& step);
  void write(const ValidationRecord& record);
  void end() { file_.sync(); }

 private:
  void put_step(const StepRecord& step, double wall_time_s);
  void put_validation(const ValidationRecord& record, double wall_time_s);
  void put_history(const std::filesystem::path& run_dir, double wall_time_s);

  MetricContext context_;
  EventFile file_;
  std::optional<StepRecord> last_step_;
};

}  // namespace borealis
