// The performance report of a set of runs, before it is a file: one row a configuration, where
// memory ended, and what of it contradicts itself.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "publish/measured_run.h"
#include "telemetry/run_summary.h"

namespace borealis {

// Of a quantity over a row's runs. `median`: of each run the median over the steps that count, and
// of these the median. `low`, `high`: over all these steps. NaN: not measured.
struct Spread {
  double median = std::numeric_limits<double>::quiet_NaN();
  double low = std::numeric_limits<double>::quiet_NaN();
  double high = std::numeric_limits<double>::quiet_NaN();
};

// Runs of one configuration on one kind of machine.
struct ResultRow {
  std::string family;     // "llama3-3B"
  std::string variant;    // what sets it apart from other rows, "DTYPE=fp32, MICRO_BATCH=4"
  std::string grid = {};  // the part of it that only the settings of a sweep's grid tell apart
  int64_t layers = 0;
  int64_t parameters = 0;
  std::vector<size_t> runs;  // of PerformanceReport::runs
  Spread step_ms;
  Spread tokens_per_gpu_per_second;       // "gpu" = rank
  Spread tflops;                          // the report's formula, "lm"
  std::vector<double> tflops_by_formula;  // of flop_formulas(), from the median rate
  double gemm_share = 0;                  // of the machine's measured GEMM rate; NaN: not measured
  double mfu = 0;                         // of PerformanceReport::peak_tflops; NaN: none given
  int64_t planned_bytes = 0;
  int64_t peak_bytes = 0;  // the highest of the runs
  StepBreakdown parts;     // medians over the steps of all runs

  std::string series() const;  // family and variant: what a line in a plot is called
};

// A configuration that memory did not suffice for.
struct MemoryEnd {
  std::string family;
  std::string variant;
  int64_t layers = 0;
  std::string kind;  // "does_not_fit", "out_of_memory", "killed", "beyond_memory": of sweep.json
  std::string reason;
  int64_t planned_bytes = 0;
  int64_t limit_bytes = 0;
};

// Two ways to one figure that differ.
struct Disagreement {
  std::string source;  // the run's
  std::string text;    // "tokens per GPU and second are 8018 by ..., 8100 by ..."
};

struct ReportSources {
  std::vector<MeasuredRun> runs;
  std::vector<MemoryEnd> memory_ends;
};

struct PerformanceReport {
  std::vector<MeasuredRun> runs;
  std::vector<ResultRow> rows;  // by series, in the order of the runs, and by layers
  std::vector<MemoryEnd> memory_ends;
  std::vector<NamedValue> common_settings;  // that all runs have, variables of the contract
  std::vector<Disagreement> disagreements;
  int64_t checks = 0;                 // that were made
  std::optional<double> peak_tflops;  // of a rank's device, by its maker
  std::string version;                // of the program that makes the report
};

// Requires at least one run.
PerformanceReport make_performance_report(ReportSources sources, std::optional<double> peak_tflops,
                                          const std::string& version);

// What a rate depends on, besides the family and its layers; the first two are the machine and the
// instruction set.
std::vector<NamedValue> rate_features(const MeasuredRun& run);
// Of a rank; "all": its share of its host's cores.
std::string threads_text(const MeasuredRun& run);

double run_median(const MeasuredRun& run, double StepRecord::*value);

}  // namespace borealis
