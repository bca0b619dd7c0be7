#include "telemetry/system_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>
#include <utility>

#include "base/fault_text.h"
#include "base/file.h"
#include "base/json_excerpt.h"
#include "base/log.h"
#include "base/side_thread.h"
#include "base/units.h"
#include "telemetry/system_stats.h"

namespace borealis {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::chrono::seconds kFirstInterval{1};
constexpr std::chrono::seconds kInterval{15};
constexpr const char* kTime = "time";

std::string system_line(SystemStats& stats) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto rounded = [](double value) { return std::round(value * 10) / 10; };
  Json json;
  json[kTime] = rounded(std::chrono::duration<double>(now).count());
  for (const auto& [name, value] : stats.sample()) {
    if (std::isfinite(value)) json[name] = rounded(value);
  }
  return json_text(json) + '\n';
}

double number_or(const Json& json, const char* name, double otherwise) {
  const auto found = json.find(name);
  return found != json.end() && found->is_number() ? found->get<double>() : otherwise;
}

int64_t mebibytes_or_unknown(const Json& json, const char* name) {
  const double mebibytes = number_or(json, name, 0);
  return mebibytes > 0 && mebibytes < 1e12 ? std::llround(mebibytes * kMiB) : 0;
}

}  // namespace

SystemLog::SystemLog(std::filesystem::path run_dir) : path_(std::move(run_dir) / kSystemFileName) {
  std::error_code none;  // of a process before, in the same folder
  std::filesystem::remove(path_, none);
}

void SystemLog::begin() {
  if (std::exchange(begun_, true)) return;
  try {
    thread_ = start_side_thread([this] { run(); });
  } catch (const std::system_error&) {
    // No thread to be had: the run goes on without the file.
  }
}

SystemLog::~SystemLog() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  ends_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void SystemLog::run() {
  SystemStats stats;
  std::chrono::seconds interval = kFirstInterval;
  int lines = 0;
  std::unique_lock lock(mutex_);
  while (!ends_.wait_for(lock, interval, [this] { return ended_; })) {
    lock.unlock();
    try {
      append_system_line(path_, system_line(stats), lines);
    } catch (const std::exception& failure) {
      log_warning(fmt::format("nothing more is written to {}, the run goes on: {}", path_.string(),
                              fault_text(failure)));
      return;
    }
    interval = std::min(2 * interval, kInterval);
    lock.lock();
  }
}

void append_system_line(const std::filesystem::path& path, std::string_view line, int& lines) {
  if (lines >= SystemLog::kMostLines) {
    const std::string all = read_text_file(path);
    std::string_view kept = all;
    for (int i = 0; i < lines / 2 && !kept.empty(); ++i) {
      kept.remove_prefix(std::min(kept.find('\n'), kept.size() - 1) + 1);
    }
    write_file_atomically(path, kept);
    lines -= lines / 2;
  }
  append_text_file(path, line);
  ++lines;
}

std::optional<SystemSample> parse_system_sample(std::string_view line) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains(kTime)) return std::nullopt;
  SystemSample sample;
  sample.time_s = number_or(json, kTime, 0);
  sample.cpu_percent = number_or(json, "cpu", sample.cpu_percent);
  sample.power_watts = number_or(json, "cpu.powerWatts", sample.power_watts);
  sample.resident_bytes = mebibytes_or_unknown(json, "proc.memory.rssMB");
  sample.available_bytes = mebibytes_or_unknown(json, "proc.memory.availableMB");
  return sample;
}

}  // namespace borealis
