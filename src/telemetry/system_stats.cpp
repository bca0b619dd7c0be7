#include "telemetry/system_stats.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/units.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

double cpu_seconds() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// "" of what is not there, or not shown: many kernels show counters to root alone.
std::string text_in(const fs::path& path) {
  try {
    return read_text_file(path);
  } catch (const Error&) {
    return "";
  }
}

std::optional<int64_t> number_in(const fs::path& path) {
  const std::string text = text_in(path);
  int64_t number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  return read.ec == std::errc() ? std::optional(number) : std::nullopt;
}

// A package, "intel-rapl:0"; its cores and its memory, "intel-rapl:0:0", are parts of it, and it is
// one of a laptop's platform, "intel-rapl:1" with the name "psys".
bool is_package(const fs::path& zone) {
  const std::string name = zone.filename().string();
  if (!name.starts_with("intel-rapl:") || std::ranges::count(name, ':') != 1) return false;
  return text_in(zone / "name").starts_with("package");
}

}  // namespace

PowerMeter::PowerMeter(const fs::path& root) {
  std::error_code unknown;
  for (const auto& entry : fs::directory_iterator(root, unknown)) {
    if (!is_package(entry.path())) continue;
    const auto range = number_in(entry.path() / "max_energy_range_uj");
    if (!range || !number_in(entry.path() / "energy_uj")) continue;
    zones_.push_back({.counter = entry.path() / "energy_uj", .range_uj = *range, .last_uj = {}});
  }
  (void)joules();
}

std::optional<double> PowerMeter::joules() {
  bool known = !zones_.empty();
  double total = 0;
  for (Zone& zone : zones_) {
    const auto now = number_in(zone.counter);
    if (now && zone.last_uj) {
      const int64_t spent = *now - *zone.last_uj;
      total += 1e-6 * static_cast<double>(spent >= 0 ? spent : spent + zone.range_uj);
    } else {
      known = false;
    }
    zone.last_uj = now;
  }
  return known ? std::optional(total) : std::nullopt;
}

SystemStats::SystemStats()
    : cores_(usable_cores()),
      memory_bytes_(static_cast<double>(::sysconf(_SC_PHYS_PAGES)) *
                    static_cast<double>(::sysconf(_SC_PAGESIZE))),
      last_(Clock::now()),
      last_cpu_s_(cpu_seconds()) {}

std::vector<std::pair<std::string, double>> SystemStats::sample() {
  const Clock::time_point now = Clock::now();
  const double cpu_s = cpu_seconds();
  const double seconds = std::max(1e-3, std::chrono::duration<double>(now - last_).count());
  const auto resident = static_cast<double>(resident_bytes());
  const auto available = static_cast<double>(available_bytes());
  std::vector<std::pair<std::string, double>> stats = {
      {"cpu", 100 * (cpu_s - last_cpu_s_) / seconds / cores_},
      {"memory_percent", 100 * (1 - available / memory_bytes_)},
      {"proc.memory.rssMB", resident / kMiB},
      {"proc.memory.percent", 100 * resident / memory_bytes_},
      {"proc.memory.availableMB", available / kMiB}};
  if (const auto joules = power_.joules()) stats.emplace_back("cpu.powerWatts", *joules / seconds);
  last_ = now;
  last_cpu_s_ = cpu_s;
  return stats;
}

}  // namespace borealis
