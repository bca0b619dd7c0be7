#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/run_observer.h"
#include "cli/run_setup.h"
#include "cli/sample_text.h"
#include "config/run_config_json.h"
#include "config/run_config_loader.h"
#include "data/batch_loader.h"
#include "data/data_record_check.h"
#include "data/document_ends.h"
#include "kernels/cpu_isa.h"
#include "kernels/gemm_rate.h"
#include "kernels/triad.h"
#include "model/step_kernels.h"
#include "planner/planner.h"
#include "report/run_report.h"
#include "telemetry/metrics_file.h"
#include "telemetry/run_summary.h"
#include "telemetry/step_profile.h"
#include "train/run_start.h"
#include "train/trainer.h"

namespace borealis {
namespace {

constexpr double kGemmMeasurementSeconds = 0.3;

void log_lines(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) log_info(line);
}

// A run as it was decided on before anything is allocated.
struct PlannedRun {
  RunConfig config;
  RunStart start;
  int threads = 1;
  RunLayout layout;
  DataDescription data;
  Prediction prediction;
};

// The next start to try, and what the run needs with it.
PlannedRun plan_run(const RunConfig& asked, int threads, StartChooser& starts) {
  PlannedRun run;
  run.config = asked;
  run.threads = threads;
  RunConfig& config = run.config;
  run.start = starts.next(config);
  run.data = describe_data(config, run.start.state.data_order, run.start.state.consumed);
  run.layout = make_run_layout(config, threads);
  run.prediction = predict(config, run.layout, data_memory_bytes(config, run.data),
                           resident_bytes(), run.start.checkpoint.has_value());
  require_fit(config, run.prediction, threads);
  return run;
}

// Two runs that start within a second have folders of their own, where their names are derived.
void claim_run_folder(RunConfig& config) {
  const std::string name = config.output.run_dir;
  if (!name.starts_with(fmt::format("logs/{}/", config.output.prefix))) return;
  borealis::create_directories(std::filesystem::path(name).parent_path());
  for (int number = 2; !create_new_directory(config.output.run_dir); ++number) {
    config.output.run_dir = fmt::format("{}_{}", name, number);
  }
}

// Makes the run's folder and what is known of the run before its first step.
void open_run_folder(const RunConfig& config, const RunStart& start) {
  const std::filesystem::path folder = config.output.run_dir;
  borealis::create_directories(folder);
  remove_stale_partials(folder);  // of a killed run with the same --run-dir
  const std::filesystem::path log = folder / "output.log";
  log_add_file(log);
  write_file_atomically(folder / "config.json", to_json(config).dump(2) + "\n");
  if (start.resumes) {
    const nlohmann::ordered_json link = {{"checkpoint", start.checkpoint->folder.string()},
                                         {"iteration", start.state.iteration},
                                         {"run_dir", start.state.run_dir}};
    write_file_atomically(folder / kResumedFromFileName, link.dump(2) + "\n");
  }
  // logs/latest lists every run's log, the newest last.
  const std::filesystem::path logs = folder.parent_path().parent_path();
  if (logs.filename() == "logs") append_text_file(logs / "latest", log.string() + "\n");
}

void log_configuration(const PlannedRun& run) {
  const RunConfig& config = run.config;
  const Prediction& prediction = run.prediction;
  for (const std::string& warning : config.warnings) log_warning(warning);
  log_lines(config.notes);
  log_info(fmt::format("kernels: {}; {} threads", cpu_isa_description(), run.threads));
  log_lines(batch_lines(config));
  log_lines(architecture_lines(config));
  if (!config.model.note.empty()) log_info(config.model.note);
  log_info(fmt::format("Number of parameters in model: {}", prediction.parameters));
  log_info(fmt::format("data: {}", data_description_text(run.data)));
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

// Of a run that goes on, a part of its records would be missing.
void warn_of_gap(const RunObserver& observer, const RunStart& start) {
  if (!start.resumes || observer.steps_of_history() == start.state.iteration) return;
  log_warning(
      fmt::format("{} has {} of the {} steps before this run: metrics and report have a gap there",
                  start.state.run_dir, observer.steps_of_history(), start.state.iteration));
}

GemmRate measure_model_products(const DecoderShape& shape, std::span<std::byte> memory) {
  const std::vector<LinearShape> products = {
      shape.qkv(),
      shape.attention_output(),
      shape.gate_up(),
      shape.down(),
      {shape.rows(), shape.model.vocab_size, shape.model.hidden_size}};
  const GemmRate gemm = measure_gemm_rate(shape.mode, products, kGemmMeasurementSeconds, memory);
  log_info(
      fmt::format("GEMM rate: {:.3f} TFLOP/s ({})", gemm.flops_per_s * 1e-12, gemm.description));
  return gemm;
}

struct TrainedModel {
  TrainingOutcome outcome;
  GemmRate gemm;  // measured after the first step
  int64_t peak_bytes = 0;
  std::optional<SampleText> sample;
};

std::string program_version() { return fmt::format("{} ({})", BOREALIS_VERSION, BOREALIS_COMMIT); }

// Completes `summary`, which was started with the run. Rates are those of this process; of a run
// that had nothing left to do, those of the steps before it.
RunSummary summarize(const PlannedRun& run, const RunObserver& observer,
                     const TrainedModel& trained, RunSummary summary) {
  const std::vector<StepRecord> all = read_metrics(run.config.output.run_dir);
  summarize_steps(observer.steps().empty() ? all : observer.steps(), summary);
  if (run.start.resumes) {
    RunSummary whole;
    summarize_steps(all, whole);
    summary.steps = whole.steps;
    summary.first_loss = whole.first_loss;
    summary.final_loss = whole.final_loss;
    summary.resumed_from = run.start.checkpoint->folder.string();
    summary.resumed_at_iteration = run.start.state.iteration;
  }
  const Prediction& prediction = run.prediction;
  summary.parameters = prediction.parameters;
  summary.gemm_tflops = trained.gemm.flops_per_s * 1e-12;
  if (observer.steps().empty()) {  // nothing was measured
    summary.gemm_tflops = summary.gemm_share = std::numeric_limits<double>::quiet_NaN();
  } else {
    summary.gemm_share = summary.tflops / summary.gemm_tflops;
  }
  summary.gemm_measurement = trained.gemm.description;
  summary.planned_memory_bytes = prediction.memory.total_bytes();
  summary.memory_classes = prediction.memory.classes(run.config.dtype);
  summary.time_to_first_step_s = observer.time_to_first_step_s();
  summary.checkpoint = trained.outcome.checkpoint;
  summary.stopped_by = trained.outcome.stopped_by;
  summary.isa = cpu_isa_description();
  summary.flops_per_token = prediction.flops_per_token;
  summary.flops_formula_name = kFlopsFormulaName;
  summary.flops_formula = kFlopsFormula;
  summary.version = program_version();
  return summary;
}

std::unique_ptr<Profiler> make_profiler(const RunConfig& config, const RunLayout& layout) {
  if (!config.profile.enabled) return nullptr;
  return std::make_unique<Profiler>(step_kernels(layout), profiled_steps(config),
                                    most_kernel_calls(layout));
}

// Takes memory for the run and fills it; measured goes to where the GEMM rate is wanted.
std::unique_ptr<Trainer> make_trainer(const PlannedRun& run, Profiler* profiler, GemmRate& gemm) {
  const auto measure_gemm = [&run, &gemm](std::span<std::byte> idle_memory) {
    gemm = measure_model_products(run.layout.decoder, idle_memory);
    return gemm.flops_per_s;
  };
  return std::make_unique<Trainer>(run.config, run.layout, run.start,
                                   TrainerOptions{
                                       .measure_gemm = measure_gemm,
                                       .profiler = profiler,
                                       .save_in_background = run.prediction.saves_in_background,
                                       .version = program_version(),
                                   });
}

// The weights and everything that was allocated for them live no longer than this call.
TrainedModel run_training(std::unique_ptr<Trainer> trainer, const RunConfig& config, int threads,
                          RunObserver& observer) {
  TrainedModel trained;
  log_info("[before the start of training step]");
  observer.training_begins();
  trained.outcome = trainer->run(observer.events());
  // Taken here: what the report allocates is not training's.
  trained.peak_bytes = peak_resident_bytes();
  trained.sample = sample_text(config, trainer->parameters(), threads, trainer->idle_memory());
  return trained;
}

void write_profile(const RunConfig& config, const Profiler* profiler, double gemm_flops_per_s) {
  if (!profiler || profiler->steps().empty()) return;  // stopped before the first profiled step
  const StepProfile profile =
      summarize_profile(*profiler, gemm_flops_per_s, measure_triad_bytes_per_s());
  write_step_profile(config.output.run_dir, profile);
  write_chrome_trace(config.output.run_dir, *profiler, 0);
  log_info(fmt::format("profile of {} steps: {}/{} (chrome://tracing or ui.perfetto.dev open it)",
                       profile.steps, config.output.run_dir, kTraceFileName));
}

void log_outcome(const RunSummary& summary) {
  if (!std::isfinite(summary.gemm_share)) {
    log_info(fmt::format("{} steps, loss {:.3f} -> {:.3f}", summary.steps, summary.first_loss,
                         summary.final_loss));
    return;
  }
  log_info(fmt::format(
      "{} steps, loss {:.3f} -> {:.3f}, {:.0f} tokens/s, {:.3f} TFLOP/s = {:.0f} % "
      "of the GEMM rate, peak memory {} of {} planned",
      summary.steps, summary.first_loss, summary.final_loss, summary.tokens_per_gpu_per_second,
      summary.tflops, 100 * summary.gemm_share, format_bytes(summary.peak_memory_bytes),
      format_bytes(summary.planned_memory_bytes)));
}

// Trains and reports.
int finish_run(const PlannedRun& run, std::unique_ptr<Trainer> trainer, const Profiler* profiler,
               const GemmRate& gemm, RunSummary summary) {
  const RunConfig& config = run.config;
  RunObserver observer(
      config, {run.start.resumes ? run.start.state.run_dir : "", run.start.state.iteration});
  warn_of_gap(observer, run.start);
  TrainedModel trained = run_training(std::move(trainer), config, run.threads, observer);
  trained.gemm = gemm;
  if (observer.steps().empty() && observer.steps_of_history() == 0) {
    log_info(fmt::format("stopped by {} before the first step", trained.outcome.stopped_by));
    return 0;
  }
  summary = summarize(run, observer, trained, std::move(summary));
  summary.peak_memory_bytes = trained.peak_bytes;
  if (trained.sample) {
    summary.sample_prompt = trained.sample->prompt;
    summary.sample_text = trained.sample->text;
    log_info(fmt::format("sample: {}{}", trained.sample->prompt, trained.sample->text));
  }
  write_profile(config, profiler, trained.gemm.flops_per_s);
  summary.wall_time_s = process_age_s();
  write_run_summary(config.output.run_dir, summary);
  const ReportPaths report = write_run_report(config.output.run_dir);
  log_outcome(summary);
  log_info(fmt::format("report: {}", report.html.string()));
  if (config.output.json) fmt::print("{}\n", run_summary_json(summary));
  return 0;
}

int train(RunConfig config) {
  const int threads = prepare_machine(config.machine);
  check_data_records(config);
  StartChooser starts(config);
  for (bool first_try = true;; first_try = false) {
    PlannedRun run = plan_run(config, threads, starts);
    if (first_try) claim_run_folder(config);
    run.config.output.run_dir = config.output.run_dir;
    open_run_folder(run.config, run.start);
    if (first_try) log_configuration(run);
    log_start(run);
    RunSummary summary = start_run_summary(run.config);
    const std::unique_ptr<Profiler> profiler = make_profiler(run.config, run.layout);
    GemmRate gemm;
    std::unique_ptr<Trainer> trainer;
    try {
      trainer = make_trainer(run, profiler.get(), gemm);
    } catch (const DamagedCheckpoint& damage) {
      log_warning(damage.what());
      starts.reject(damage);
      continue;
    }
    return finish_run(run, std::move(trainer), profiler.get(), gemm, std::move(summary));
  }
}

}  // namespace

int run_train_command(const std::vector<std::string>& arguments) {
  RunConfig config;
  try {
    config = load_run_config(process_environment(), arguments);
  } catch (const HelpRequested& help) {
    fmt::print("{}", help.text);
    return 0;
  }
  log_open(config.output.json ? LogStream::kStderr : LogStream::kStdout, config.log_level);
  // Asked of the tokenizer once: it may be large.
  if (const auto ends = document_ends(config.data)) config.data.eod_token = ends->token;
  return train(config);
}

}  // namespace borealis
