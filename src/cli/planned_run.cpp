#include "cli/planned_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/memory.h"
#include "comm/collectives.h"
#include "config/run_config_loader.h"
#include "kernels/cpu_isa.h"

namespace borealis {
namespace {

void log_lines(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) log_info(line);
}

}  // namespace

PlannedRun plan_run(const RunConfig& asked, int threads, StartChooser& starts, Backend& backend) {
  PlannedRun run;
  run.config = asked;
  run.threads = threads;
  run.device = backend.gpu() == nullptr ? cpu_isa_description() : backend.device().name();
  RunConfig& config = run.config;
  run.start = starts.next(config);
  const RunState& state = run.start.state;
  run.data = describe_data(config, state.data_order, state.iteration, state.consumed);
  run.layout = fitting_layout(config, threads, backend.gpu());
  run.prediction = predict(config, run.layout, data_memory_bytes(config, run.data),
                           resident_bytes(), run.start.checkpoint.has_value());
  require_fit(config, run.prediction, threads);
  return run;
}

void agree_on_saving(Communicator& ranks, PlannedRun& run) {
  if (run.config.parallel.zero_stage == 0) return;  // the first rank saves, and it alone
  const auto in_background = all_values<int32_t>(ranks, run.prediction.saves_in_background ? 1 : 0,
                                                 "agreeing on how to save");
  const auto other = std::ranges::find(in_background, 0);
  if (!run.prediction.saves_in_background || other == in_background.end()) return;
  run.prediction.saves_in_background = false;
  run.prediction.memory.snapshot_bytes = 0;
  run.prediction.rank_without_copy = other - in_background.begin();
}

void log_configuration(const PlannedRun& run) {
  const RunConfig& config = run.config;
  const Prediction& prediction = run.prediction;
  for (const std::string& warning : config.warnings) log_warning(warning);
  log_lines(config.notes);
  log_info(fmt::format("kernels: {}; {} thread{}", run.device, run.threads,
                       run.threads == 1 ? "" : "s"));
  log_lines(batch_lines(config));
  log_lines(architecture_lines(config));
  if (!config.model.note.empty()) log_info(config.model.note);
  log_info(fmt::format("Number of parameters in model: {}", prediction.parameters));
  log_info(fmt::format("data: {}", data_description_text(run.data)));
  for (const auto& [split, name] :
       {std::pair(&run.data.valid, "validation"), std::pair(&run.data.test, "test")}) {
    if (!split->left_empty) continue;
    log_warning(fmt::format("the split {} leaves no document for the {}: the run does without",
                            run.config.data.split, name));
  }
  log_info(fmt::format("memory plan\n{}", memory_table(prediction, config.dtype)));
  if (const std::string saving = saving_line(config, prediction); !saving.empty()) {
    log_info(saving);
  }
}

void log_start(const PlannedRun& run) {
  const RunStart& start = run.start;
  if (!start.resumes) return;
  log_info(
      fmt::format("resumed from {}: iteration {}, {} samples consumed; what came before is in {}",
                  start.checkpoint->folder.string(), start.state.iteration,
                  start.state.consumed.train, start.state.run_dir));
  if (start.state.iteration < run.config.limits.train_iters) return;
  log_info(
      fmt::format("all {} iterations are done; raise TRAIN_ITERS to go on, or begin another "
                  "run elsewhere (CKPT_DIR=...)",
                  run.config.limits.train_iters));
}

}  // namespace borealis
