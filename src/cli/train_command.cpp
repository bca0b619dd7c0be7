#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <filesystem>

#include "base/date_time.h"
#include "base/fault_text.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/stopwatch.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/live_report.h"
#include "cli/open_backend.h"
#include "cli/planned_run.h"
#include "cli/program_version.h"
#include "cli/run_observer.h"
#include "cli/run_ranks.h"
#include "cli/run_records.h"
#include "cli/run_setup.h"
#include "cli/sample_text.h"
#include "cli/start_phases.h"
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
#include "telemetry/run_summary.h"
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

// One try to train.
struct Attempt {
  PlannedRun run;
  std::unique_ptr<Profiler> profiler;
  TrainedModel trained;
  std::unique_ptr<Trainer> trainer;  // until it has trained
};

std::unique_ptr<Profiler> make_profiler(const RunConfig& config, const RunLayout& layout) {
  if (!config.profile.enabled) return nullptr;
  return std::make_unique<Profiler>(step_kernels(layout), profiled_steps(config),
                                    most_kernel_calls(layout));
}

// Takes memory for the run and fills it. The trainer must not outlive `attempt`.
std::unique_ptr<Trainer> make_trainer(Attempt& attempt, Backend& backend, Communicator& ranks) {
  const PlannedRun& run = attempt.run;
  const auto measure_gemm = [&attempt, &run, &backend](std::span<std::byte> idle_memory) {
    GemmRate& gemm = attempt.trained.gemm;
    gemm = measure_model_products(backend, run.layout.decoder, run.config.dtype, idle_memory);
    log_info(fmt::format("GEMM rate: {} ({})", rate_text(gemm), gemm.description));
    return gemm.flops_per_s;
  };
  return std::make_unique<Trainer>(run.config, run.layout, run.start,
                                   TrainerOptions{
                                       .ranks = &ranks,
                                       .measure_gemm = measure_gemm,
                                       .profiler = attempt.profiler.get(),
                                       .save_in_background = run.prediction.saves_in_background,
                                       .version = program_version(),
                                       .backend = &backend,
                                   });
}

// What else ran while the rate was measured, for a third of a second, would make the steps of a
// whole run look better than they are: behind a longer one it is measured once more, and the better
// one counts. Of a process alone: ranks would have to begin together again. A GPU's is measured
// hot.
constexpr double kMeasuredOnceMoreFrom_s = 10;

void measure_gemm_once_more(const PlannedRun& run, Backend& backend,
                            std::span<std::byte> idle_memory, GemmRate& gemm) {
  const GemmRate again =
      measure_model_products(backend, run.layout.decoder, run.config.dtype, idle_memory);
  gemm = better_rate(gemm, again);
  log_info(
      fmt::format("GEMM rate behind the last step: {}; the better one counts", rate_text(again)));
}

// The weights and everything that was allocated for them live no longer than this call.
void run_training(std::unique_ptr<Trainer> trainer, const PlannedRun& run, Backend& backend,
                  const TrainerEvents& events, TrainedModel& trained) {
  TrainerEvents told = events;  // a run that fails has saved, too
  told.on_checkpoint = [&](const std::string& folder) {
    trained.outcome.checkpoint = folder;
    if (events.on_checkpoint) events.on_checkpoint(folder);
  };
  const Stopwatch training;
  trained.outcome = trainer->run(told);
  const double trained_s = training.elapsed_s();
  trained.accelerator = backend.watched();
  if (run.config.profile.enabled && backend.gpu() != nullptr) {
    trained.bytes_per_s = backend.measure_bandwidth(trainer->idle_memory());
  }
  // Taken here: what the report allocates is not training's.
  trained.peak_bytes = peak_bytes(backend);
  if (trained.outcome.stopped_by == "train_iters" && trained.gemm.flops_per_s > 0 &&
      trained_s > kMeasuredOnceMoreFrom_s && run.config.parallel.world_size == 1 &&
      backend.gpu() == nullptr) {
    measure_gemm_once_more(run, backend, trainer->idle_memory(), trained.gemm);
  }
  trained.sample =
      sample_text(run.config, trainer->parameters(), run.threads, trainer->idle_memory(), backend);
}

void write_profile(const RunConfig& config, const Profiler* profiler, const TrainedModel& trained) {
  if (!profiler) return;
  if (profiler->steps().empty()) {
    log_warning(
        fmt::format("no profile: this process made no step from iteration {} to {} "
                    "(--profile-step-start, --profile-step-end)",
                    config.profile.first_iteration, config.profile.end_iteration - 1));
    return;
  }
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

void tell_that_there_was_no_step(const Attempt& attempt, int64_t steps_of_history) {
  const bool killed = attempt.trained.outcome.stopped_by == "kill_switch";
  if (killed) {
    log_warning(fmt::format("not {}: --kill-switch-file {} exists; remove it to train",
                            steps_of_history == 0 ? "begun" : "gone on",
                            attempt.run.config.limits.kill_switch_file));
  } else if (steps_of_history == 0) {
    log_info(
        fmt::format("stopped by {} before the first step", attempt.trained.outcome.stopped_by));
  }
}

// Trains, and tells what came of it.
void train_and_report(Attempt& attempt, Backend& backend, RunObserver& observer,
                      RunRecords& records) {
  const RunConfig& config = attempt.run.config;
  TrainedModel& trained = attempt.trained;
  LiveReport live_report(config, records.summary());
  log_info_or_brief(
      "learning_rate= below is the next step's, as in the reference; metrics.jsonl has the "
      "step's own",
      "");
  log_info("[before the start of training step] datetime=" + date_time_text());
  observer.training_begins();
  backend.watch();
  run_training(std::move(attempt.trainer), attempt.run, backend,
               live_report.listen(observer.events()), trained);
  live_report.finish();
  if (config.profile.enabled && backend.gpu() == nullptr) {  // in memory that training has left
    trained.bytes_per_s = backend.measure_bandwidth({});
  }
  if (observer.steps() == 0) tell_that_there_was_no_step(attempt, observer.steps_of_history());
  if (observer.steps() == 0 && observer.steps_of_history() == 0) {
    return records.end_without_step(trained.outcome.stopped_by);
  }
  if (trained.sample) {
    log_info(indented(fmt::format("sample: {}{}", trained.sample->prompt, trained.sample->text)));
  }
  // What came of it first: the disk may have no room for the rest.
  records.end(observer, trained);
  log_outcome(records.summary());
  if (config.output.json) fmt::print("{}\n", run_summary_json(records.summary()));
  write_profile(config, attempt.profiler.get(), trained);
  log_info(fmt::format("report: {}", write_run_report(config.output.run_dir).html.string()));
}

// The same as rank 0 does it, whose records tell how it ended. The exit code tells a run that a
// signal stopped from one that is done.
int train_with_records(Attempt& attempt, Backend& backend, RunRecords& records) {
  const PlannedRun& run = attempt.run;
  const RunHistory history{run.start.resumes ? run.start.state.run_dir : "",
                           run.start.state.iteration};
  std::optional<RunObserver> observer;
  try {
    observer.emplace(run.config, history, records.tracker());
    warn_of_gap(*observer, run.start);
    records.begin_tracking(run.config, history);
    train_and_report(attempt, backend, *observer, records);
    const int exit_code = signal_exit_code(records.summary().stopped_by);
    records.tracker().end(records.summary(), exit_code);
    return exit_code;
  } catch (const std::exception& failure) {
    try {
      attempt.trained.peak_bytes = peak_bytes(backend);
    } catch (const std::exception&) {
      // A GPU that failed has none to tell.
    }
    attempt.trained.outcome.stopped_by = "error";
    records.fail(failure, observer ? &*observer : nullptr, attempt.trained);
    throw;
  }
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
  {
    const LongWaits patient(ranks.all());
    together(ranks.all(), "checking the data", [&] {
      data_tokenizers = check_data_records(config);
      if (ranks.is_first()) warn_of_damaged_files(config);
    });
  }
  StartChooser starts(config);
  RunRecords records(command, host_cores);
  phases.end("looking at data");
  for (;;) {
    Attempt attempt;
    PlannedRun& run = attempt.run;
    std::string fingerprint;
    auto patient = std::make_optional<LongWaits>(ranks.all());
    together(ranks.all(), "planning the run", [&] {
      run = plan_run(config, threads, starts, backend);
      if (ranks.all().size() > 1) fingerprint = data_fingerprint(config);
    });
    patient.reset();
    ranks.require_same(
        {{"data", data_description_text(run.data)},
         {"data's content", fingerprint},
         {"instructions", cpu_isa_description()},
         {"device", backend.gpu() == nullptr ? "the CPU" : run.device},
         {"exchange between GPUs",
          backend.gpu() != nullptr && backend.gpu()->has_group ? "NCCL" : "MPI"},
         {"checkpoint", run.start.checkpoint ? run.start.checkpoint->folder.string() : "none"}});
    agree_on_saving(ranks.all(), run);
    phases.end("planning");
    together(ranks.all(), "opening the run's folder", [&] {
      if (ranks.is_first()) records.begin(run, config, starts, data_tokenizers);
    });
    phases.end("run's folder");
    attempt.profiler = make_profiler(run.config, run.layout);
    try {
      attempt.trainer = make_trainer(attempt, backend, ranks.all());
    } catch (const DamagedCheckpoint& damage) {
      log_warning(fmt::format("{}; the checkpoint before it is tried", fault_text(damage)));
      starts.reject(damage);
      continue;
    } catch (const std::exception& failure) {
      if (ranks.is_first()) records.fail(failure, nullptr, attempt.trained);
      throw;
    }
    phases.end("weights and data");
    records.summary().start_phases = phases.longest(ranks.all());
    if (!ranks.is_first()) return signal_exit_code(attempt.trainer->run({}).stopped_by);
    log_start(run);
    log_info(start_line(records.summary().start_phases, ranks.all().size()));
    return train_with_records(attempt, backend, records);
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
  return on_all_ranks("train", [&](RunRanks& ranks) {
    const SignalThread receives_signals;
    return train_on(ranks, arguments);
  });
}

}  // namespace borealis
