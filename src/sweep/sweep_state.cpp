#include "sweep/sweep_state.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/file.h"
#include "base/json_excerpt.h"
#include "base/printable.h"

namespace borealis {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kVersion = 1;

Json point_json(const SweepPoint& point) {
  Json settings = Json::object();
  for (const auto& [variable, value] : point.settings) settings[variable] = value;
  return {{"name", point.name},
          {"settings", settings},
          {"state", point_state_name(point.state)},
          {"reason", point.reason},
          {"planned_bytes", point.plan.planned_bytes},
          {"limit_bytes", point.plan.limit_bytes},
          {"runs", point.runs},
          {"key",
           {{"version", point.key.version},
            {"machine", point.key.machine},
            {"configuration", point.key.configuration}}}};
}

PointState state_named(const std::string& name) {
  for (const PointState state :
       {PointState::kPending, PointState::kDone, PointState::kDoesNotFit, PointState::kOutOfMemory,
        PointState::kKilled, PointState::kFailed, PointState::kBeyondMemory}) {
    if (point_state_name(state) == name) return state;
  }
  throw Error(ErrorKind::kData, fmt::format("'{}' is no state of a point", printable(name)));
}

SweepPoint parse_point(const Json& json) {
  SweepPoint point;
  point.name = json.at("name");
  for (const auto& [variable, value] : json.at("settings").items()) {
    point.settings.emplace_back(variable, value.get<std::string>());
  }
  point.state = state_named(json.at("state"));
  point.reason = json.at("reason");
  point.plan.planned_bytes = json.at("planned_bytes");
  point.plan.limit_bytes = json.at("limit_bytes");
  point.runs = json.at("runs").get<std::vector<std::string>>();
  const Json& key = json.at("key");
  point.key = {key.at("version"), key.at("machine"), key.at("configuration")};
  return point;
}

}  // namespace

std::string sweep_state_json(const SweepState& state) {
  Json points = Json::array();
  for (const SweepPoint& point : state.points) points.push_back(point_json(point));
  const Json json = {{"version", kVersion},      {"created_at", state.created_at},
                     {"steps", state.steps},     {"warmup_steps", state.warmup_steps},
                     {"repeats", state.repeats}, {"points", points}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

SweepState parse_sweep_state(const std::string& text, const std::string& name) {
  std::string wrong;
  try {
    const Json json = Json::parse(text);
    if (json.at("version") != kVersion) {
      throw Error(ErrorKind::kData, "it is of another version of the program");
    }
    SweepState state;
    state.created_at = json.at("created_at");
    state.steps = json.at("steps");
    state.warmup_steps = json.at("warmup_steps");
    state.repeats = json.at("repeats");
    for (const Json& one : json.at("points")) state.points.push_back(parse_point(one));
    return state;
  } catch (const Json::exception& fault) {
    wrong = fault_text(fault);
  } catch (const Error& fault) {
    wrong = fault_text(fault);
  }
  throw Error(ErrorKind::kData, fmt::format("{} is not the state of a sweep ({})", name, wrong),
              "restore the file, or sweep into another folder (--output)");
}

std::optional<SweepState> read_sweep_state(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kSweepFileName;
  std::error_code unknown;
  if (!std::filesystem::exists(path, unknown)) return std::nullopt;
  return parse_sweep_state(read_json_text(path), path.string());
}

void write_sweep_state(const std::filesystem::path& folder, const SweepState& state) {
  write_file_atomically(folder / kSweepFileName, sweep_state_json(state));
}

}  // namespace borealis
