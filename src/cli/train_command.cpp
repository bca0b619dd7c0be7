#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/date_time.h"
#include "base/fault_text.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/live_report.h"
#include "cli/open_backend.h"
#include "cli/planned_run.h"
#include "cli/program_version.h"
#include "cli/run_folder.h"
#include "cli/run_observer.h"
#include "cli/run_ranks.h"
#include "cli/run_setup.h"
#include "cli/sample_text.h"
#include "cli/start_phases.h"
#include "cli/summary_writer.h"
#include "comm/collectives.h"
#include "config/log_format.h"
#include "config/run_command.h"
#include "config/run_config_loader.h"
#include "data/brief_check.h"
#include "data/data_fingerprint.h"
#include "data/data_record_check.h"
#include "data/document_ends.h"
#include "kernels/cpu_isa.h"
#include "kernels/gemm_rate.h"
#include "model/product_rate.h"
#include "model/step_kernels.h"
#include "report/run_report.h"
#include "telemetry/metrics_file.h"
#include "telemetry/run_summary.h"
#include "telemetry/run_tracker.h"
#include "telemetry/step_profile.h"
#include "train/run_start.h"
#include "train/signals.h"
#include "train/trainer.h"

namespace borealis {
namespace {

// Of a run that goes on, a part of its records would be missing.
void warn_of_gap(const RunObserver& observer, const RunStart& start) {
  if (!start.resumes || observer.steps_of_history() == start.state.iteration) return;
  log_warning(
      fmt::format("{} has {} of the {} steps before this run: metrics and report have a gap there",
                  start.state.run_dir, observer.steps_of_history(), start.state.iteration));
}

struct TrainedModel {
  TrainingOutcome outcome;
  GemmRate gemm;  // measured after the first step
  std::string accelerator;
  double bytes_per_s = 0;  // of memory, for a profile
  int64_t peak_bytes = 0;
  std::optional<SampleText> sample;
};

// What is known of the run before its first step.
RunSummary begin_summary(const PlannedRun& run, const std::string& data_tokenizer,
                         const std::string& command) {
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
  summary.command = command;
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
  summary.stopped_by = trained.outcome.stopped_by;
  if (trained.sample) {
    summary.sample_prompt = trained.sample->prompt;
    summary.sample_text = trained.sample->text;
  }
  summary.wall_time_s = process_age_s();
}

std::unique_ptr<Profiler> make_profiler(const RunConfig& config, const RunLayout& layout) {
  if (!config.profile.enabled) return nullptr;
  return std::make_unique<Profiler>(step_kernels(layout), profiled_steps(config),
                                    most_kernel_calls(layout));
}

// Takes memory for the run and fills it; measured goes to where the GEMM rate is wanted.
std::unique_ptr<Trainer> make_trainer(const PlannedRun& run, Backend& backend, Communicator& ranks,
                                      Profiler* profiler, GemmRate& gemm) {
  const auto measure_gemm = [&run, &backend, &gemm](std::span<std::byte> idle_memory) {
    gemm = measure_model_products(backend, run.layout.decoder, run.config.dtype, idle_memory);
    log_info(fmt::format("GEMM rate: {} ({})",
                         gemm.flops_per_s > 0
                             ? fmt::format("{:.3f} TFLOP/s", gemm.flops_per_s * 1e-12)
                             : "not measured",
                         gemm.description));
    return gemm.flops_per_s;
  };
  return std::make_unique<Trainer>(run.config, run.layout, run.start,
                                   TrainerOptions{
                                       .ranks = &ranks,
                                       .measure_gemm = measure_gemm,
                                       .profiler = profiler,
                                       .save_in_background = run.prediction.saves_in_background,
                                       .version = program_version(),
                                       .backend = &backend,
                                   });
}

// The weights and everything that was allocated for them live no longer than this call.
TrainedModel run_training(std::unique_ptr<Trainer> trainer, const RunConfig& config, int threads,
                          Backend& backend, RunObserver& observer, LiveReport& report) {
  TrainedModel trained;
  log_info_or_brief(
      "learning_rate= below is the next step's, as in the reference; metrics.jsonl has the "
      "step's own",
      "");
  log_info("[before the start of training step] datetime=" + date_time_text());
  observer.training_begins();
  backend.watch();
  trained.outcome = trainer->run(report.listen(observer.events()));
  report.finish();
  trained.accelerator = backend.watched();
  if (config.profile.enabled && backend.gpu() != nullptr) {
    trained.bytes_per_s = backend.measure_bandwidth(trainer->idle_memory());
  }
  // Taken here: what the report allocates is not training's.
  trained.peak_bytes = peak_bytes(backend);
  trained.sample =
      sample_text(config, trainer->parameters(), threads, trainer->idle_memory(), backend);
  return trained;
}

void write_profile(const RunConfig& config, const Profiler* profiler, const TrainedModel& trained) {
  if (!profiler || profiler->steps().empty()) return;  // stopped before the first profiled step
  const StepProfile profile =
      summarize_profile(*profiler, trained.gemm.flops_per_s, trained.bytes_per_s);
  write_step_profile(config.output.run_dir, profile);
  write_chrome_trace(config.output.run_dir, *profiler, 0);
  log_info(fmt::format("profile of {} steps: {}/{} (chrome://tracing or ui.perfetto.dev open it)",
                       profile.steps, config.output.run_dir, kTraceFileName));
}

void log_outcome(const RunSummary& summary) {
  if (summary.stopped_by != "train_iters") {
    log_info(fmt::format("stopped by {} after {} steps", summary.stopped_by, summary.steps));
  }
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

// With lines that are no lines of the log's own.
std::string indented(std::string_view text) {
  std::string lines;
  for (const char c : text) lines += c == '\n' ? std::string("\n  ") : std::string(1, c);
  return lines;
}

// Calls `write`, which says in the run's folder what a failed run came to; a second fault, of the
// same disk maybe, does not hide the first.
template <typename Write>
void despite_faults(Write write) {
  try {
    write();
  } catch (const Error& second) {
    log_warning(fmt::format("there is no report of the failed run: {}", fault_text(second)));
  }
}

void report_failure(const Error& failure, Backend& backend, const RunObserver& observer,
                    const GemmRate& gemm, const std::string& run_dir, RunSummary& summary,
                    SummaryWriter& writer) {
  TrainedModel trained;
  trained.gemm = gemm;
  despite_faults([&] { trained.peak_bytes = peak_bytes(backend); });  // of a GPU that failed, none
  trained.outcome.stopped_by = "error";
  despite_faults([&] {
    summary.failure = failure.what();
    complete_summary(observer, trained, run_dir, summary);
    writer.write(summary);
    write_run_report(run_dir);
  });
}

// Of one without a step there is no report, but its folder tells why.
void tell_failed_start(const Error& failure, RunSummary summary, SummaryWriter& writer) {
  summary.stopped_by = "error";
  summary.failure = failure.what();
  despite_faults([&] { writer.write(summary); });
}

// Trains and reports; the exit code tells a run that a signal stopped from one that is done.
int train_and_report(const PlannedRun& run, Backend& backend, std::unique_ptr<Trainer> trainer,
                     const Profiler* profiler, const GemmRate& gemm, RunTracker& tracker,
                     RunSummary& summary, SummaryWriter& writer) {
  const RunConfig& config = run.config;
  const std::string& run_dir = config.output.run_dir;
  const RunHistory history{run.start.resumes ? run.start.state.run_dir : "",
                           run.start.state.iteration};
  RunObserver observer(config, history, tracker);
  warn_of_gap(observer, run.start);
  tracker.begin(config, summary, history);
  TrainedModel trained;
  LiveReport live_report(config, summary);
  try {
    trained = run_training(std::move(trainer), config, run.threads, backend, observer, live_report);
  } catch (const Error& failure) {
    live_report.finish();
    if (observer.steps() == 0) {
      tell_failed_start(failure, summary, writer);
    } else {
      report_failure(failure, backend, observer, gemm, run_dir, summary, writer);
    }
    throw;
  }
  trained.gemm = gemm;
  if (config.profile.enabled && backend.gpu() == nullptr) {  // in memory that training has left
    trained.bytes_per_s = backend.measure_bandwidth({});
  }
  const bool killed = trained.outcome.stopped_by == "kill_switch";
  if (observer.steps() == 0 && killed) {
    log_warning(fmt::format("not {}: --kill-switch-file {} exists; remove it to train",
                            observer.steps_of_history() == 0 ? "begun" : "gone on",
                            config.limits.kill_switch_file));
  }
  if (observer.steps() == 0 && observer.steps_of_history() == 0) {
    if (!killed) {
      log_info(fmt::format("stopped by {} before the first step", trained.outcome.stopped_by));
    }
    summary.stopped_by = trained.outcome.stopped_by;
    writer.write(summary);
    return signal_exit_code(summary.stopped_by);
  }
  if (trained.sample) {
    log_info(indented(fmt::format("sample: {}{}", trained.sample->prompt, trained.sample->text)));
  }
  write_profile(config, profiler, trained);
  complete_summary(observer, trained, run_dir, summary);
  writer.write(summary);
  const ReportPaths report = write_run_report(run_dir);
  log_outcome(summary);
  log_info(fmt::format("report: {}", report.html.string()));
  if (config.output.json) fmt::print("{}\n", run_summary_json(summary));
  return signal_exit_code(summary.stopped_by);
}

// The same, and the trackers are told how it ended.
int finish_run(const PlannedRun& run, Backend& backend, std::unique_ptr<Trainer> trainer,
               const Profiler* profiler, const GemmRate& gemm, RunTracker& tracker,
               RunSummary summary, SummaryWriter& writer) {
  try {
    const int exit_code = train_and_report(run, backend, std::move(trainer), profiler, gemm,
                                           tracker, summary, writer);
    tracker.end(summary, exit_code);
    return exit_code;
  } catch (const Error& failure) {
    summary.stopped_by = "error";
    summary.failure = failure.what();
    tracker.end(summary, error_exit_code(failure.kind()));
    throw;
  }
}

// What a run leaves behind is rank 0's business.
struct RunRecords {
  std::optional<RunFolders> folders;
  std::optional<RunTracker> tracker;
  RunSummary summary;
  std::optional<SummaryWriter> writer;
  int64_t host_cores = 0;  // of all ranks of this host
};

// Before the trainer of this try to start is made.
void begin_records(PlannedRun& run, RunConfig& config, const StartChooser& starts,
                   const DataTokenizers& data_tokenizers, const std::string& command,
                   RunRecords& records) {
  const bool first_try = !records.folders;
  if (first_try) {
    records.folders.emplace(config, run.start, run.prediction.parameters);
    starts.require_newest(config);
  }
  run.config.output.run_dir = config.output.run_dir;
  if (first_try) open_run_folder(run.config);
  describe_run(run.config, run.start);
  if (first_try) records.tracker.emplace(run.config);
  if (first_try) log_configuration(run);
  records.summary = begin_summary(run, data_tokenizer_text(run.config, data_tokenizers), command);
  records.summary.machine.cores = records.host_cores;
  records.writer.emplace(run.config.output.run_dir);
  records.writer->begin(records.summary);
}

int train(RunRanks& ranks, RunConfig config, const std::string& command, StartPhases phases) {
  // Whoever read the log may go away; the run has a file of it and goes on.
  std::signal(SIGPIPE, SIG_IGN);
  const int64_t host_cores = ranks.share_machine(config.machine);
  const int threads = prepare_machine(config.machine);
  OpenedBackend opened;
  together(ranks.all(), "looking for a GPU",
           [&] { opened = open_backend(config.machine, config.parallel); });
  Backend& backend = opened.get();
  if (!opened.warning.empty()) config.warnings.push_back(opened.warning);
  DataTokenizers data_tokenizers;
  together(ranks.all(), "checking the data", [&] {
    data_tokenizers = check_data_records(config);
    if (ranks.is_first()) warn_of_damaged_files(config);
  });
  StartChooser starts(config);
  RunRecords records;
  records.host_cores = host_cores;
  phases.end("looking at data");
  for (;;) {
    PlannedRun run;
    std::string fingerprint;
    together(ranks.all(), "planning the run", [&] {
      run = plan_run(config, threads, starts, backend);
      if (ranks.all().size() > 1) fingerprint = data_fingerprint(config);
    });
    ranks.require_same(
        {{"data", data_description_text(run.data)},
         {"data's content", fingerprint},
         {"instructions", cpu_isa_description()},
         {"device", backend.gpu() == nullptr ? "the CPU" : run.device},
         {"exchange between GPUs",
          backend.gpu() != nullptr && backend.gpu()->has_group ? "NCCL" : "MPI"},
         {"checkpoint", run.start.checkpoint ? run.start.checkpoint->folder.string() : "none"}});
    phases.end("planning");
    together(ranks.all(), "opening the run's folder", [&] {
      if (ranks.is_first()) begin_records(run, config, starts, data_tokenizers, command, records);
    });
    phases.end("run's folder");
    const std::unique_ptr<Profiler> profiler = make_profiler(run.config, run.layout);
    GemmRate gemm;
    std::unique_ptr<Trainer> trainer;
    try {
      trainer = make_trainer(run, backend, ranks.all(), profiler.get(), gemm);
    } catch (const DamagedCheckpoint& damage) {
      log_warning(fmt::format("{}; the checkpoint before it is tried", fault_text(damage)));
      starts.reject(damage);
      continue;
    } catch (const Error& failure) {
      if (ranks.is_first()) {
        tell_failed_start(failure, std::move(records.summary), *records.writer);
      }
      throw;
    }
    phases.end("weights and data");
    records.summary.start_phases = phases.longest(ranks.all());
    if (!ranks.is_first()) return signal_exit_code(trainer->run({}).stopped_by);
    log_start(run);
    log_info(start_line(records.summary.start_phases, ranks.all().size()));
    return finish_run(run, backend, std::move(trainer), profiler.get(), gemm, *records.tracker,
                      std::move(records.summary), *records.writer);
  }
}

// Reads the configuration, which all ranks must agree on, and trains.
int train_on(RunRanks& ranks, const std::vector<std::string>& arguments) {
  StartPhases phases;
  phases.end(ranks.all().size() > 1 ? "MPI" : "program");
  RunConfig config;
  LogStyle style = LogStyle::kReference;
  const LoadOptions options = ranks.load_options();
  try {
    together(ranks.all(), "reading the configuration",
             [&] { config = load_run_config(process_environment(), arguments, options); });
  } catch (const HelpRequested& help) {
    if (ranks.is_first()) fmt::print("{}", help.text);
    return 0;
  }
  // What a launcher gives its ranks may look like a terminal, but is not the user's.
  const bool on_terminal =
      ranks.all().size() == 1 && ::isatty(config.output.json ? STDERR_FILENO : STDOUT_FILENO) == 1;
  if (wants_short_log(process_environment(), arguments, on_terminal)) style = LogStyle::kShort;
  log_open(config.output.json ? LogStream::kStderr : LogStream::kStdout,
           ranks.is_first() ? config.log_level : "ERROR", style);
  ranks.set_time_limit(60 * config.parallel.timeout_minutes);
  ranks.require_same(config);
  if (ranks.all().size() > 1) config.notes.push_back(ranks.description());
  // Asked of the tokenizer once: it may be large.
  if (const auto ends = document_ends(config.data)) config.data.eod_token = ends->token;
  std::error_code unknown;
  const std::filesystem::path folder = std::filesystem::current_path(unknown);
  const std::string command =
      run_command(process_environment(), arguments, folder, ranks.all().size());
  phases.end("configuration");
  return train(ranks, config, command, phases);
}

}  // namespace

int run_train_command(const std::vector<std::string>& arguments) {
  return on_all_ranks([&](RunRanks& ranks) {
    const SignalThread receives_signals;
    return train_on(ranks, arguments);
  });
}

}  // namespace borealis
