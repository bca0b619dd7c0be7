#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/units.h"
#include "cli/command.h"
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
#include "telemetry/iteration_line.h"
#include "telemetry/metrics_file.h"
#include "telemetry/progress.h"
#include "telemetry/run_summary.h"
#include "telemetry/step_profile.h"
#include "train/trainer.h"

namespace borealis {
namespace {

constexpr double kGemmMeasurementSeconds = 0.3;

void log_lines(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) log_info(line);
}

void log_configuration(const RunConfig& config, const Prediction& prediction,
                       const DataDescription& data, int threads) {
  for (const std::string& warning : config.warnings) log_warning(warning);
  const std::filesystem::path latest =
      std::filesystem::path(config.output.checkpoint_dir) / "latest";
  if (config.output.save_checkpoints && std::filesystem::exists(latest)) {
    log_warning(
        fmt::format("{} holds a checkpoint ({}); resuming is not available yet, so this run "
                    "starts from scratch and replaces steps of the same number",
                    config.output.checkpoint_dir, read_text_file(latest)));
  }
  log_lines(config.notes);
  log_info(fmt::format("kernels: {}; {} threads", cpu_isa_description(), threads));
  log_lines(batch_lines(config));
  log_lines(architecture_lines(config));
  if (!config.model.note.empty()) log_info(config.model.note);
  log_info(fmt::format("Number of parameters in model: {}", prediction.parameters));
  log_info(fmt::format("data: {}", data_description_text(data)));
  log_info(fmt::format("memory plan\n{}", memory_table(prediction, config.dtype)));
}

// Makes the run's folder and what is known of it before the first step.
void open_run_folder(const RunConfig& config) {
  const std::filesystem::path folder = config.output.run_dir;
  borealis::create_directories(folder);
  const std::filesystem::path log = folder / "output.log";
  log_add_file(log);
  write_file_atomically(folder / "config.json", to_json(config).dump(2) + "\n");
  // logs/latest lists every run's log, the newest last.
  const std::filesystem::path logs = folder.parent_path().parent_path();
  if (logs.filename() == "logs") append_text_file(logs / "latest", log.string() + "\n");
}

// Where the events of a run go: log, metrics, progress.
class RunObserver {
 public:
  explicit RunObserver(const RunConfig& config)
      : config_(config),
        line_context_{config.limits.train_iters, config.batch.seq_length},
        metrics_(config.output.run_dir),
        progress_(progress_on_stderr(config.limits.train_iters, config.output.progress)) {}

  TrainerEvents events() {
    TrainerEvents events;
    events.on_step = [this](const StepRecord& record) { on_step(record); };
    events.on_validation = [this](const ValidationRecord& record) {
      metrics_.write(record);
      log(format_validation(record));
    };
    events.on_evaluation = [this](int64_t round, int64_t rounds) {
      if (round % config_.limits.log_interval == 0) log(format_evaluation(round, rounds));
    };
    events.on_final_validation = [this](const ValidationRecord& record, int64_t samples,
                                        const std::string& set) {
      if (set == "validation") {
        metrics_.write(record);
      } else {
        metrics_.write_test(record);
      }
      log(format_final_validation(record, samples, set));
    };
    events.on_checkpoint = [this](const std::string& folder) {
      log(fmt::format("saved {}", folder));
    };
    return events;
  }

  void training_begins() { time_to_first_step_s_ = process_age_s(); }

  const std::vector<StepRecord>& steps() const { return steps_; }
  double time_to_first_step_s() const { return time_to_first_step_s_; }

 private:
  void on_step(const StepRecord& record) {
    steps_.push_back(record);
    metrics_.write(record);
    interval_.add(record);
    if (record.skipped) {
      log_skipped(record);
    }
    if (record.iteration % config_.limits.log_interval == 0) {
      const IterationLine line = interval_.take();
      log(format_iteration_line(line, line_context_));
      const std::string timers = format_timers(line, config_.limits.timing_log_level);
      if (!timers.empty()) log_info(timers);
    }
    if (const auto line = progress_.log_line()) log_info(*line);
    progress_.update(record);
  }

  void log_skipped(const StepRecord& record) {
    progress_.erase();
    log_warning(
        fmt::format("iteration {}: loss {} and gradient norm {} are not both finite; the "
                    "update was skipped, the {}. of this run",
                    record.iteration, record.lm_loss, record.grad_norm.value_or(0.0),
                    record.skipped_iterations));
  }

  void log(const std::string& text) {
    progress_.erase();
    log_info(text);
  }

  const RunConfig& config_;
  IterationLineContext line_context_;
  IterationInterval interval_;
  MetricsWriter metrics_;
  Progress progress_;
  std::vector<StepRecord> steps_;
  double time_to_first_step_s_ = 0;
};

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

// Completes `summary`, which was started with the run.
RunSummary summarize(const RunConfig& config, const RunObserver& observer,
                     const TrainedModel& trained, const Prediction& prediction,
                     RunSummary summary) {
  summarize_steps(observer.steps(), summary);
  summary.parameters = prediction.parameters;
  summary.gemm_tflops = trained.gemm.flops_per_s * 1e-12;
  summary.gemm_share = summary.tflops / summary.gemm_tflops;
  summary.gemm_measurement = trained.gemm.description;
  summary.planned_memory_bytes = prediction.memory.total_bytes();
  summary.memory_classes = prediction.memory.classes(config.dtype);
  summary.time_to_first_step_s = observer.time_to_first_step_s();
  summary.checkpoint = trained.outcome.checkpoint;
  summary.stopped_by = trained.outcome.stopped_by;
  summary.isa = cpu_isa_description();
  summary.flops_per_token = prediction.flops_per_token;
  summary.flops_formula_name = kFlopsFormulaName;
  summary.flops_formula = kFlopsFormula;
  summary.version = fmt::format("{} ({})", BOREALIS_VERSION, BOREALIS_COMMIT);
  return summary;
}

std::unique_ptr<Profiler> make_profiler(const RunConfig& config, const RunLayout& layout) {
  if (!config.profile.enabled) return nullptr;
  return std::make_unique<Profiler>(step_kernels(layout), profiled_steps(config),
                                    most_kernel_calls(layout));
}

// The weights and everything that was allocated for them live no longer than this call.
TrainedModel run_training(const RunConfig& config, const RunLayout& layout, Profiler* profiler,
                          RunObserver& observer) {
  TrainedModel trained;
  const auto measure_gemm = [&](std::span<std::byte> idle_memory) {
    trained.gemm = measure_model_products(layout.decoder, idle_memory);
    return trained.gemm.flops_per_s;
  };
  Trainer trainer(config, layout, measure_gemm, profiler);
  log_info("[before the start of training step]");
  observer.training_begins();
  trained.outcome = trainer.run(observer.events());
  // Taken here: what the report allocates is not training's.
  trained.peak_bytes = peak_resident_bytes();
  trained.sample = sample_text(config, trainer.parameters());
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
  log_info(fmt::format(
      "{} steps, loss {:.3f} -> {:.3f}, {:.0f} tokens/s, {:.3f} TFLOP/s = {:.0f} % "
      "of the GEMM rate, peak memory {} of {} planned",
      summary.steps, summary.first_loss, summary.final_loss, summary.tokens_per_gpu_per_second,
      summary.tflops, 100 * summary.gemm_share, format_bytes(summary.peak_memory_bytes),
      format_bytes(summary.planned_memory_bytes)));
}

int train(const RunConfig& config) {
  const int threads = prepare_machine(config.machine);
  check_data_records(config);
  const DataDescription data = describe_data(config);
  const RunLayout layout = make_run_layout(config, threads);
  const Prediction prediction =
      predict(config, layout, data_memory_bytes(config, data), resident_bytes());
  require_fit(config, prediction, threads);

  open_run_folder(config);
  log_configuration(config, prediction, data, threads);

  RunSummary summary = start_run_summary(config);
  RunObserver observer(config);
  const std::unique_ptr<Profiler> profiler = make_profiler(config, layout);
  const TrainedModel trained = run_training(config, layout, profiler.get(), observer);

  summary = summarize(config, observer, trained, prediction, std::move(summary));
  summary.peak_memory_bytes = trained.peak_bytes;
  if (trained.sample) {
    summary.sample_prompt = trained.sample->prompt;
    summary.sample_text = trained.sample->text;
    log_info(fmt::format("sample: {}{}", trained.sample->prompt, trained.sample->text));
  }
  write_profile(config, profiler.get(), trained.gemm.flops_per_s);
  summary.wall_time_s = process_age_s();
  write_run_summary(config.output.run_dir, summary);
  const ReportPaths report = write_run_report(config.output.run_dir);
  log_outcome(summary);
  log_info(fmt::format("report: {}", report.html.string()));
  if (config.output.json) fmt::print("{}\n", run_summary_json(summary));
  return 0;
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
