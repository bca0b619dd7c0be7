// summary.json: what a run amounts to so far, in one JSON object. The names of the first group
// are an interface to scripts; the report is made from the rest.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/process.h"
#include "config/run_config.h"
#include "telemetry/machine.h"
#include "telemetry/run_configuration.h"
#include "telemetry/step_record.h"
#include "telemetry/step_series.h"

namespace borealis {

inline constexpr const char* kSummaryFileName = "summary.json";
// In the folder of a run that went on: {"checkpoint", "iteration", "run_dir"} of what came before.
inline constexpr const char* kResumedFromFileName = "resumed_from.json";

// In RunSummary::architecture: what is known of the tokenizer that made the run's data.
inline constexpr const char* kDataTokenizer = "tokenizer of the data";

struct MemoryClass {
  std::string name;
  int64_t bytes = 0;
};

struct NamedSeconds {
  std::string name;
  double seconds = 0;
};

struct RunSummary {
  int64_t parameters = 0;
  int64_t world_size = 1;
  int64_t steps = 0;
  // Medians over the steps after the first (see summarize_steps). Not measured: NaN, null in JSON.
  double tokens_per_gpu_per_second = 0;
  double tflops = 0;
  double gemm_tflops = 0;  // the machine's rate, measured in this process
  double gemm_share = 0;
  int64_t planned_memory_bytes = 0;
  int64_t peak_memory_bytes = 0;
  double time_to_first_step_s = 0;  // start of the process to the start of the first step
  // What went on until then, each of the rank that took the longest for it.
  std::vector<NamedSeconds> start_phases;
  double final_loss = 0;   // of the last step that was not skipped
  std::string checkpoint;  // folder; empty if none was saved

  double first_loss = 0;
  double step_ms = 0;  // median
  int64_t skipped_iterations = 0;
  // "train_iters", "SIGTERM", ..., "error"; empty: the run goes on, or was killed.
  std::string stopped_by;
  std::string failure;     // the error that ended it
  double wall_time_s = 0;  // of the process, to its end

  std::string model_name;  // "llama3-3B-nLayers4"
  std::string model_note;  // what a report must say of this shape; often empty
  int64_t num_hidden_layers = 0;
  std::string dtype;             // "bf16"
  std::string isa;               // what the kernels ran on: instructions, or the GPU
  std::string accelerator;       // a GPU's driver, clocks and power while it trained; often empty
  std::string gemm_measurement;  // "oneDNN bf16 4096 x 4096 x 4096, 2 threads, best of 5"
  double flops_per_token = 0;
  std::string flops_formula_name;           // "LM formula of Megatron-DeepSpeed"
  std::string flops_formula;                // written out in the letters of `architecture`
  std::vector<MemoryClass> memory_classes;  // of the plan; they add up to planned_memory_bytes
  std::vector<NamedValue> architecture;
  std::vector<NamedValue> configuration;  // the contract's variables, as resolved
  MachineInfo machine;
  std::string resumed_from;          // checkpoint that the process went on from; empty: none
  int64_t resumed_at_iteration = 0;  // steps that came before this process
  std::string command;               // what the user gave, for a shell (config/run_command.h)
  std::string started_at;            // local time, "2025-08-21 12:44:05"
  std::string version;               // of Borealis, with its commit
  ProcessMark process;               // that made it
  std::string sample_prompt;
  std::string sample_text;  // what the trained model made of the prompt
};

// A summary with everything filled that the configuration and the machine know: world size, model,
// dtype, formula, architecture, configuration, machine, start time, and this process.
RunSummary start_run_summary(const RunConfig& config);

// Fills steps, rates, step_ms, losses and skipped_iterations from the steps of the run. Medians are
// over the steps after the first, which holds start-up; skipped steps are left out where others
// remain. A single step speaks for itself.
void summarize_steps(std::span<const StepRecord> steps, RunSummary& summary);
// The same of a whole run, with rates of the steps of the last process that took part in it (after
// summary.resumed_at_iteration) where it made any.
void summarize_steps(const StepSeries& series, RunSummary& summary);

// "metrics.jsonl has 4 of the 12 steps that summary.json tells of"; empty where it has them all, or
// the run has not ended.
std::string missing_steps_text(const RunSummary& summary, int64_t recorded_steps);

// What those medians are over.
struct MeasuredSteps {
  int64_t count = 0;
  int64_t skipped = 0;          // left out beside them
  bool all_skipped = false;     // then none of those is left out
  bool first_left_out = false;  // as always but where it is the only step
};
// steps: of the series; resumed_at_iteration: of the summary.
MeasuredSteps count_measured_steps(std::span<const StepRecord> steps, int64_t resumed_at_iteration);

// Median parts of a step, over the same steps. They add up to total_ms.
struct StepBreakdown {
  double forward_ms = 0;
  double backward_ms = 0;
  double optimizer_ms = 0;
  double communication_ms = 0;
  double data_ms = 0;
  double other_ms = 0;  // logging, validation, saving, and what no timer covers
  double total_ms = 0;

  // False of steps that nothing was timed of, as in another trainer's log.
  bool is_measured() const { return total_ms > other_ms; }
};
// As the rates: of the last process.
StepBreakdown step_breakdown(std::span<const StepRecord> steps, int64_t resumed_at_iteration);
// Of all these steps.
StepBreakdown step_breakdown(const std::vector<const StepRecord*>& steps);

std::string run_summary_json(const RunSummary& summary);
// Atomically replaces DIR/summary.json.
void write_run_summary(const std::filesystem::path& run_dir, const RunSummary& summary);
// Throws Error(kFile) if there is none, Error(kData) if it is broken.
RunSummary read_run_summary(const std::filesystem::path& run_dir);
// Whether it is a run's folder, as opposed to a folder of several, or a file.
bool is_run_folder(const std::filesystem::path& path);

}  // namespace borealis
