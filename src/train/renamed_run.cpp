#include "train/renamed_run.h"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <system_error>

#include "base/error.h"
#include "checkpoint/run_checkpoints.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

// "x-ws2-ds-stage0-nl4-mb1-..." without the values behind these markers
// (config/derive_folders.cpp).
std::string without(std::string name, std::initializer_list<std::string_view> markers) {
  for (const std::string_view marker : markers) {
    const size_t at = name.find(marker);
    if (at == std::string::npos) continue;
    const size_t value = at + marker.size();
    name.erase(value, std::min(name.find('-', value), name.size()) - value);
  }
  return name;
}

// Whether nothing but what comes with the ranks differs. The global batch does where their number
// does; by itself it makes another experiment.
bool same_but_for_ranks(const std::string& a, const std::string& b) {
  constexpr std::string_view kRanks = "-ws", kStage = "-ds-stage", kMicro = "-mb", kGlobal = "-gb";
  const auto same_without = [&](std::initializer_list<std::string_view> markers) {
    return without(a, markers) == without(b, markers);
  };
  const bool same_ranks = same_without({kStage, kMicro, kGlobal});
  return same_ranks ? same_without({kStage, kMicro})
                    : same_without({kRanks, kStage, kMicro, kGlobal});
}

bool holds_checkpoints(const fs::path& folder) {
  try {
    return !checkpoints_to_start_from(folder).empty();
  } catch (const Error&) {
    return false;  // may not be read: no help to anybody
  }
}

}  // namespace

fs::path checkpoints_of_other_ranks(const RunConfig& config) {
  const fs::path own(config.output.checkpoint_dir);
  if (own.filename() != config.output.prefix) return {};
  fs::path newest;
  fs::file_time_type newest_time = fs::file_time_type::min();
  std::error_code code;
  for (const fs::directory_entry& entry : fs::directory_iterator(own.parent_path(), code)) {
    const std::string name = entry.path().filename();
    if (name == config.output.prefix || !same_but_for_ranks(name, config.output.prefix)) continue;
    if (!holds_checkpoints(entry.path())) continue;
    std::error_code unknown;
    const fs::file_time_type time = fs::last_write_time(entry.path(), unknown);
    if (unknown || time <= newest_time) continue;
    newest = entry.path();
    newest_time = time;
  }
  return newest;
}

}  // namespace borealis
