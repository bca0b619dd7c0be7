// system.jsonl: what a run takes of its machine while it goes on, in the run's folder. A line is
//   {"time": 1758900000.2, "cpu": 98.1, "memory_percent": 41.0, "proc.memory.rssMB": 1536.0,
//    "proc.memory.percent": 9.6, "proc.memory.availableMB": 9412.5, "cpu.powerWatts": 62.0}
// time in seconds since 1970, the rest as SystemStats::sample() has it; what is not known is not
// there.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>

namespace borealis {

inline constexpr const char* kSystemFileName = "system.jsonl";

// Writes a line every 15 s, at first more often, on a thread of its own, which nothing waits for.
// The file is that of this process alone, and has at most kMostLines: then the older half goes.
// It never stops a run: what cannot be written is one warning and its end.
class SystemLog {
 public:
  static constexpr int kMostLines = 8192;  // the last 17 hours at least; less than 2 MiB

  // Removes the file of a process before.
  explicit SystemLog(std::filesystem::path run_dir);
  ~SystemLog();
  SystemLog(const SystemLog&) = delete;
  SystemLog& operator=(const SystemLog&) = delete;

  // Starts the thread; only the first call does. With the first step, for one more thread among
  // those that spin would delay that by a time slice.
  void begin();

 private:
  void run();

  std::filesystem::path path_;
  std::mutex mutex_;
  bool ended_ = false;  // guarded
  std::condition_variable ends_;
  bool begun_ = false;
  std::thread thread_;
};

// Appends a line; the older half of a file of kMostLines goes. `lines`: in the file, kept up to
// date. Throws Error(kFile).
void append_system_line(const std::filesystem::path& path, std::string_view line, int& lines);

struct SystemSample {
  double time_s = 0;  // since 1970
  double cpu_percent = std::numeric_limits<double>::quiet_NaN();
  int64_t resident_bytes = 0;
  int64_t available_bytes = 0;  // of the machine
  double power_watts = std::numeric_limits<double>::quiet_NaN();
};
std::optional<SystemSample> parse_system_sample(std::string_view line);  // none: it is no such line

}  // namespace borealis
