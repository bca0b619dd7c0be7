// What a run takes of its machine, under the names of the wandb client's system metrics.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace borealis {

// Energy counters of the processor packages, where the kernel has them and lets us read them.
class PowerMeter {
 public:
  // root: of the kernel's zones, "intel-rapl:0", ... (AMD's are called so, too).
  explicit PowerMeter(const std::filesystem::path& root = "/sys/class/powercap");
  // Joules since the reading before, or since this was made; none if a counter cannot be read.
  std::optional<double> joules();

 private:
  struct Zone {
    std::filesystem::path counter;
    int64_t range_uj = 0;  // it starts again at 0 behind this
    std::optional<int64_t> last_uj;
  };
  std::vector<Zone> zones_;
};

class SystemStats {
 public:
  SystemStats();
  // Since the sample before, or since this was made:
  //   cpu                  this process's CPU time over that of its cores, percent
  //   memory_percent       of the machine's memory that is in use
  //   proc.memory.rssMB, proc.memory.percent, proc.memory.availableMB (of 2^20 bytes)
  //   cpu.powerWatts       of all packages, if known
  std::vector<std::pair<std::string, double>> sample();

 private:
  using Clock = std::chrono::steady_clock;
  int cores_;
  double memory_bytes_;
  PowerMeter power_;
  Clock::time_point last_;
  double last_cpu_s_;
};

}  // namespace borealis
