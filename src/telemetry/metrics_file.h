// metrics.jsonl: one JSON object a step, validation.jsonl: one a validation, test.jsonl: that of
// the test after the last step, and checkpoints.jsonl: {"checkpoint": FOLDER} of each that this
// process has saved, in the run's folder. Key names of metrics.jsonl are an interface to scripts
// and frozen by a test; a value that is not finite or not known is null. Lines reach the kernel as
// they are written, so a run that dies leaves every finished step behind.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "telemetry/step_record.h"
#include "telemetry/step_series.h"

namespace borealis {

inline constexpr const char* kMetricsFileName = "metrics.jsonl";
inline constexpr const char* kValidationFileName = "validation.jsonl";
inline constexpr const char* kTestFileName = "test.jsonl";
inline constexpr const char* kCheckpointsFileName = "checkpoints.jsonl";

std::string step_record_json(const StepRecord& record);              // without newline
std::string validation_record_json(const ValidationRecord& record);  // without newline

// What a run that goes on has behind it: the records of another folder (or its own) up to the
// iteration that it goes on from. Steps and validations that were lost with a killed process, and
// the validation at the end of a shorter run, are left out: they come again.
struct RunHistory {
  std::filesystem::path run_dir;  // empty: the run begins
  int64_t iteration = 0;
};

class MetricsWriter {
 public:
  // Creates the files with what `history` has for them, so that a folder describes one run from its
  // first step; what an earlier run left in the folder is removed. Throws Error(kFile), here and in
  // write() (a full disk).
  explicit MetricsWriter(const std::filesystem::path& run_dir, const RunHistory& history = {});
  // Steps that the history gave.
  int64_t steps_of_history() const { return steps_of_history_; }
  void write(const StepRecord& record);
  void write(const ValidationRecord& record);  // to the file of its set
  void write_checkpoint(const std::string& folder);

 private:
  std::filesystem::path metrics_path_;
  std::filesystem::path validation_path_;
  std::filesystem::path test_path_;
  std::filesystem::path checkpoints_path_;
  int64_t steps_of_history_ = 0;
};

// One line of these files; none: it is no such record. Of a step, `skipped` and
// `next_learning_rate` are not in it but in its neighbours (read_metrics).
std::optional<StepRecord> parse_step_record(std::string_view line);
std::optional<ValidationRecord> parse_validation_record(
    std::string_view line, EvaluatedSet set = EvaluatedSet::kValidation);
std::optional<std::string> parse_checkpoint_record(std::string_view line);  // the folder

// Read back. A last line that was cut off (the run was killed while it wrote) is dropped; any other
// broken line is Error(kData) with its number. What the file does not hold is derived: `skipped`
// from the running count, `next_learning_rate` from the step that follows.
void for_each_step(const std::filesystem::path& run_dir,
                   const std::function<void(const StepRecord&)>& visit);
// most_steps: of the series.
StepSeries read_metrics(const std::filesystem::path& run_dir,
                        size_t most_steps = StepSeries::kMostSteps);
// Empty if the run had no validation.
std::vector<ValidationRecord> read_validation(const std::filesystem::path& run_dir);
// None if the run did not get to a test.
std::optional<ValidationRecord> read_test(const std::filesystem::path& run_dir);

}  // namespace borealis
