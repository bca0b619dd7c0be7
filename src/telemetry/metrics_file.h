// metrics.jsonl: one JSON object a step, and validation.jsonl: one a validation, in the run's
// folder. Key names of metrics.jsonl are an interface to scripts and frozen by a test; a value that
// is not finite or not known is null. Lines reach the kernel as they are written, so a run that
// dies leaves every finished step behind.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "telemetry/step_record.h"

namespace borealis {

inline constexpr const char* kMetricsFileName = "metrics.jsonl";
inline constexpr const char* kValidationFileName = "validation.jsonl";

std::string step_record_json(const StepRecord& record);              // without newline
std::string validation_record_json(const ValidationRecord& record);  // without newline

class MetricsWriter {
 public:
  // Creates metrics.jsonl empty, and removes the validation.jsonl of an earlier run in this folder:
  // a folder describes one run. Throws Error(kFile), here and in write() (a full disk).
  explicit MetricsWriter(const std::filesystem::path& run_dir);
  void write(const StepRecord& record);
  void write(const ValidationRecord& record);

 private:
  std::filesystem::path metrics_path_;
  std::filesystem::path validation_path_;
};

// Read back. A last line that was cut off (the run was killed while it wrote) is dropped; any other
// broken line is Error(kData) with its number. What the file does not hold is derived: `skipped`
// from the running count, `next_learning_rate` from the step that follows.
std::vector<StepRecord> read_metrics(const std::filesystem::path& run_dir);
// Empty if the run had no validation.
std::vector<ValidationRecord> read_validation(const std::filesystem::path& run_dir);

}  // namespace borealis
