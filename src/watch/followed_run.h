// Follows a run by the files in its folder, of which it reads what is new. Takes no lock, so that
// the run is never in its way; the folder may be of a run that goes on, ends, or begins again.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/file.h"
#include "base/growing_file.h"
#include "telemetry/progress.h"
#include "watch/watched_run.h"

namespace borealis {

class FollowedRun {
 public:
  FollowedRun(const std::filesystem::path& folder, std::string name);

  // Reads what came since, of long metrics so many bytes; true: there is more, and the next call
  // goes on. What cannot be read stays as it was. `now_s`: seconds since 1970.
  bool update(double now_s, size_t metrics_bytes = kMetricsBytes);
  static constexpr size_t kMetricsBytes = size_t{4} << 20;  // some hundredths of a second
  const WatchedRun& run() const { return run_; }
  const std::filesystem::path& folder() const { return run_.folder; }

 private:
  void read_summary();
  bool read_steps(size_t metrics_bytes);
  void take_step(std::string_view line);
  void read_validations();
  void read_checkpoints();
  void read_system();
  std::string problem_of_files() const;
  double age_s(std::initializer_list<const char*> files, double now_s) const;

  WatchedRun run_;
  std::optional<FileStamp> summary_stamp_;
  GrowingFile metrics_;
  GrowingFile validations_;
  GrowingFile checkpoints_;
  GrowingFile system_;
  std::optional<std::string> saved_checkpoint_;
  TimeLeft time_left_{0};
  int64_t skipped_before_ = 0;
};

}  // namespace borealis
