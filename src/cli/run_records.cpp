#include "cli/run_records.h"

#include <cmath>
#include <limits>
#include <utility>

#include "base/fault_text.h"
#include "base/log.h"
#include "base/process.h"
#include "cli/failure.h"
#include "cli/program_version.h"
#include "data/document_ends.h"
#include "model/accounting.h"
#include "report/run_report.h"
#include "telemetry/metrics_file.h"

namespace borealis {
namespace {

// What is known of the run before its first step.
RunSummary begin_summary(const PlannedRun& run, const std::string& data_tokenizer) {
  RunSummary summary = start_run_summary(run.config);
  summary.architecture.push_back({kDataTokenizer, data_tokenizer});
  const Prediction& prediction = run.prediction;
  summary.parameters = prediction.parameters;
  summary.planned_memory_bytes = prediction.memory.total_bytes();
  summary.memory_classes = prediction.memory.classes(run.config.dtype);
  summary.isa = run.device;
  summary.flops_per_token = prediction.flops_per_token;
  summary.flops_formula_name = kFlopsFormulaName;
  summary.flops_formula = kFlopsFormula;
  summary.version = program_version();
  if (run.start.resumes) {
    summary.resumed_from = run.start.checkpoint->folder.string();
    summary.resumed_at_iteration = run.start.state.iteration;
  }
  return summary;
}

// Completes it. Rates are those of this process; of a run that had nothing left to do, those of the
// steps before it.
void complete_summary(const RunObserver& observer, const TrainedModel& trained,
                      const std::string& run_dir, RunSummary& summary) {
  summarize_steps(read_metrics(run_dir), summary);
  if (observer.steps() == 0 || trained.gemm.flops_per_s == 0) {  // nothing was measured
    summary.gemm_tflops = summary.gemm_share = std::numeric_limits<double>::quiet_NaN();
  } else {
    summary.gemm_tflops = trained.gemm.flops_per_s * 1e-12;
    summary.gemm_share = summary.tflops / summary.gemm_tflops;
  }
  summary.gemm_measurement = trained.gemm.description;
  summary.accelerator = trained.accelerator;
  summary.peak_memory_bytes = trained.peak_bytes;
  summary.time_to_first_step_s = observer.time_to_first_step_s();
  summary.checkpoint = trained.outcome.checkpoint;
  if (trained.sample) {
    summary.sample_prompt = trained.sample->prompt;
    summary.sample_text = trained.sample->text;
  }
  summary.wall_time_s = process_age_s();
}

}  // namespace

RunRecords::RunRecords(std::string command, int64_t host_cores)
    : command_(std::move(command)), host_cores_(host_cores) {}

void RunRecords::begin(PlannedRun& run, RunConfig& config, const StartChooser& starts,
                       const DataTokenizers& data_tokenizers) {
  const bool first_try = !folders_;
  if (first_try) {
    folders_.emplace(config, run.start, run.prediction.parameters);
    starts.require_newest(config);
  }
  run_dir_ = run.config.output.run_dir = config.output.run_dir;
  if (first_try) open_run_folder(run.config);
  describe_run(run.config, run.start);
  if (first_try) tracker_.emplace(run.config);
  if (first_try) log_configuration(run);
  summary_ = begin_summary(run, data_tokenizer_text(run.config, data_tokenizers));
  summary_.command = command_;
  summary_.machine.cores = host_cores_;
  writer_.emplace(run_dir_);
  writer_->begin(summary_);
}

void RunRecords::begin_tracking(const RunConfig& config, const RunHistory& history) {
  tracker_->begin(config, summary_, history);
}

void RunRecords::end_without_step(const std::string& stopped_by) {
  summary_.stopped_by = stopped_by;
  writer_->write(summary_);
}

void RunRecords::end(const RunObserver& observer, const TrainedModel& trained) {
  complete_summary(observer, trained, run_dir_, summary_);
  summary_.stopped_by = trained.outcome.stopped_by;
  writer_->write(summary_);
  has_ended_ = true;
}

void RunRecords::fail(const std::exception& failure, const RunObserver* observer,
                      const TrainedModel& trained) noexcept {
  const Failure told = failure_of(failure, "train");
  if (has_ended_) {
    log_warning("the training itself has ended and is recorded; what failed came behind it");
    return tracker_->end(summary_, told.exit_code);
  }
  summary_.stopped_by = "error";
  summary_.failure = told.line;
  const bool has_steps = observer != nullptr && observer->steps() > 0;
  try {
    if (has_steps) complete_summary(*observer, trained, run_dir_, summary_);
    writer_->write(summary_);
    if (has_steps) write_run_report(run_dir_);
  } catch (const std::exception& second) {
    if (fault_text(second) != fault_text(failure)) {
      log_warning("there is no report of the failed run: " + fault_text(second));
    }
  }
  tracker_->end(summary_, told.exit_code);
}

}  // namespace borealis
