#include "sweep/point.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <span>

#include "base/checksum.h"
#include "base/units.h"
#include "config/run_config_json.h"
#include "telemetry/machine.h"

namespace borealis {

std::string_view point_state_name(PointState state) {
  switch (state) {
    case PointState::kPending:
      return "pending";
    case PointState::kDone:
      return "done";
    case PointState::kDoesNotFit:
      return "does_not_fit";
    case PointState::kOutOfMemory:
      return "out_of_memory";
    case PointState::kKilled:
      return "killed";
    case PointState::kFailed:
      return "failed";
    case PointState::kBeyondMemory:
      return "beyond_memory";
  }
  return "";
}

PointKey make_point_key(const std::string& version, const RunConfig& config,
                        const std::string& gpu) {
  nlohmann::json json = to_json(config);
  for (const char* irrelevant : {"output", "checkpoint", "notes", "warnings", "log_level"}) {
    json.erase(irrelevant);
  }
  json["data"].erase("data_cache_path");
  const std::string text = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  Checksum sum;
  sum.add(std::as_bytes(std::span(text)));
  const MachineInfo machine = describe_machine();
  return {.version = version,
          .machine = fmt::format("{}: {}, {} cores, {} bytes, {}{}{}", machine.hostname,
                                 machine.cpu_model, machine.cores, machine.memory_bytes,
                                 machine.operating_system, gpu.empty() ? "" : ", ", gpu),
          .configuration = sum.hex()};
}

std::string planned_of_limit(int64_t planned_bytes, int64_t limit_bytes, bool refused) {
  return fmt::format(
      "{} planned of {}{}", format_bytes(planned_bytes), format_bytes(limit_bytes),
      refused && planned_bytes <= limit_bytes ? ", a part of which is kept free" : "");
}

std::string run_folder_name(const SweepPoint& point, int64_t repeat) {
  return fmt::format("points/{}/{}", point.name, repeat);
}

}  // namespace borealis
