#include "train/renamed_run.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <system_error>

#include "base/error.h"
#include "checkpoint/run_checkpoints.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRanks = "-ws", kStage = "-ds-stage", kMicro = "-mb", kGlobal = "-gb",
                           kParts = "-sp";

// Behind the model's name, which may hold anything.
size_t place_of(const std::string& name, std::string_view marker) {
  return name.find(marker, std::min(name.find(kRanks), name.size()));
}

// "x-ws2-ds-stage0-nl4-mb1-..." without the values behind these markers
// (config/derive_folders.cpp).
std::string without(std::string name, std::initializer_list<std::string_view> markers) {
  for (const std::string_view marker : markers) {
    const size_t at = place_of(name, marker);
    if (at == std::string::npos) continue;
    const size_t value = at + marker.size();
    name.erase(value, std::min(name.find('-', value), name.size()) - value);
  }
  return name;
}

// The number behind a marker; 1: there is none.
int64_t number_behind(const std::string& name, std::string_view marker) {
  const size_t at = place_of(name, marker);
  int64_t number = 1;
  if (at != std::string::npos) {
    const char* begin = name.data() + at + marker.size();
    std::from_chars(begin, name.data() + name.size(), number);
  }
  return number;
}

// Whether nothing but what comes with the ranks differs. The global batch may, if it is as many
// samples for each of those that share theirs; else it makes another experiment.
bool same_but_for_ranks(const std::string& a, const std::string& b) {
  const auto markers = {kRanks, kStage, kMicro, kGlobal, kParts};
  if (without(a, markers) != without(b, markers)) return false;
  const auto number = [](const std::string& name, std::string_view marker) {
    return static_cast<double>(number_behind(name, marker));
  };
  return number(a, kGlobal) == number(b, kGlobal) ||
         number(a, kGlobal) * number(b, kRanks) * number(a, kParts) ==
             number(b, kGlobal) * number(a, kRanks) * number(b, kParts);
}

bool holds_checkpoints(const fs::path& folder) {
  try {
    return !checkpoints_to_start_from(folder).empty();
  } catch (const Error&) {
    return false;  // may not be read: no help to anybody
  }
}

}  // namespace

OtherRanksRun checkpoints_of_other_ranks(const RunConfig& config) {
  OtherRanksRun newest;
  const fs::path own(config.output.checkpoint_dir);
  if (own.filename() != config.output.prefix) return newest;
  const int64_t own_batch = number_behind(config.output.prefix, kGlobal);
  fs::file_time_type newest_time = fs::file_time_type::min();
  std::error_code code;
  for (const fs::directory_entry& entry : fs::directory_iterator(own.parent_path(), code)) {
    const std::string name = entry.path().filename();
    if (name == config.output.prefix || !same_but_for_ranks(name, config.output.prefix)) continue;
    if (!holds_checkpoints(entry.path())) continue;
    std::error_code unknown;
    const fs::file_time_type time = fs::last_write_time(entry.path(), unknown);
    if (unknown || time <= newest_time) continue;
    const int64_t batch = number_behind(name, kGlobal);
    newest = {.folder = entry.path(),
              .global_batch = batch == own_batch ? std::nullopt : std::optional(batch)};
    newest_time = time;
  }
  return newest;
}

}  // namespace borealis
