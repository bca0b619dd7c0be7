// machines/*.json: writing, reading and finding.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json_excerpt.h"
#include "base/json_number.h"
#include "planner/machine_model.h"

namespace borealis {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr const char* kFormat = "borealis machine 1";

// Keys of the constants in the order of StepTerm. The first three stand as rates in the file.
constexpr std::array<const char*, kStepTerms> kConstantKeys = {
    "product_flops_per_s", "attention_flops_per_s", "memory_bytes_per_s", "parameter_s", "step_s"};
constexpr size_t kRates = 3;
constexpr double kMostVariance = 1e12;
constexpr int64_t kMostWhole = 9'000'000'000'000'000;

Json constants_json(const StepVector& seconds) {
  Json json;
  for (size_t i = 0; i < kStepTerms; ++i) {
    if (i >= kRates) {
      json[kConstantKeys[i]] = seconds[i];
    } else {
      json[kConstantKeys[i]] = seconds[i] > 0 ? Json(1 / seconds[i]) : Json(nullptr);
    }
  }
  return json;
}

Json calibration_json(const MachineCalibration& calibration) {
  Json rows = Json::array();
  for (const CalibrationRow& row : calibration.rows) {
    rows.push_back({{"name", row.name},
                    {"measured_s", row.measured_s},
                    {"fitted_s", row.fitted_s},
                    {"left_out_s", row.left_out_s}});
  }
  const CalibrationErrors errors = calibration.errors();
  return {{"source", calibration.source},
          {"hosts", calibration.hosts},
          {"ranks_per_host", calibration.ranks_per_host},
          {"constants", constants_json(calibration.seconds)},
          {"noise", calibration.noise},
          {"covariance", calibration.covariance},
          {"largest_residual", errors.largest_residual},
          {"largest_left_out_error", errors.largest_left_out},
          {"rms_left_out_error", errors.rms_left_out},
          {"rows", rows}};
}

// Typed access to the keys of one object; what is wrong is told with file and key.
class Keys {
 public:
  Keys(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) fail("is not an object");
  }

  const Json& value(const char* key) const {
    const auto found = object_.find(key);
    if (found == object_.end()) fail(fmt::format("has no \"{}\"", key));
    return *found;
  }
  Keys object(const char* key) const {
    return {value(key), fmt::format("{}: \"{}\"", where_, key)};
  }
  Keys element(const Json& one, const char* key) const {
    return {one, fmt::format("{}, one of \"{}\",", where_, key)};
  }
  bool has(const char* key) const {
    const auto found = object_.find(key);
    return found != object_.end() && !found->is_null();
  }
  // 0, or what a quantity of a machine can be, so that what is computed of it stays finite; above 0
  // where `positive`.
  double number(const char* key, bool positive = false) const {
    constexpr double kLeast = 1e-30, kMost = 1e24;
    const Json& found = value(key);
    const double number = found.is_number() ? found.get<double>() : -1;
    const bool is_zero = number == 0 && !positive;
    if (!is_zero && !(number >= kLeast && number <= kMost)) {
      wrong(key, found,
            fmt::format("a number of {:g} to {:g}{}", kLeast, kMost, positive ? "" : ", or 0"));
    }
    return number;
  }
  // A time: of 0 to 30 years.
  double seconds(const char* key) const {
    constexpr double kMost = 1e9;
    const double number = this->number(key);
    if (number > kMost) wrong(key, value(key), fmt::format("seconds up to {:g}", kMost));
    return number;
  }
  int64_t whole(const char* key, int64_t least) const {
    const Json& found = value(key);
    if (const auto number = whole_number_in(found, least, kMostWhole)) return *number;
    fail(fmt::format("has \"{}\": {}", key, not_whole(found, least, kMostWhole)));
  }
  std::string text(const char* key) const {
    const Json& found = value(key);
    if (!found.is_string()) wrong(key, found, "text");
    return found.get<std::string>();
  }
  std::vector<int64_t> whole_numbers(const char* key) const {
    const Json& list = value(key);
    const bool good = list.is_array() && std::ranges::all_of(list, [](const Json& one) {
                        return whole_number_in(one, 1, kMostWhole).has_value();
                      });
    if (!good) wrong(key, list, "a list of whole numbers above 0");
    return list.get<std::vector<int64_t>>();
  }
  // One number a term, each above `above`.
  StepVector numbers(const Json& list, const char* key, double above) const {
    StepVector numbers{};
    bool good = list.is_array() && list.size() == kStepTerms;
    for (size_t i = 0; good && i < kStepTerms; ++i) {
      good = list[i].is_number() && std::isfinite(list[i].get<double>()) &&
             list[i].get<double>() > above && list[i].get<double>() < kMostVariance;
      if (good) numbers[i] = list[i].get<double>();
    }
    if (!good) wrong(key, list, fmt::format("a list of {} numbers it can have", kStepTerms));
    return numbers;
  }
  StepVector positive_numbers(const char* key) const { return numbers(value(key), key, 0); }
  // One of the names, in the order of the enum from 0 on.
  template <typename Enum, size_t n>
  Enum choice(const char* key, std::string_view (*name_of)(Enum),
              const std::array<Enum, n>& values) const {
    const std::string name = text(key);
    std::vector<std::string_view> names;
    for (const Enum value : values) {
      if (name == name_of(value)) return value;
      names.push_back(name_of(value));
    }
    wrong(key, value(key), fmt::format("{}", fmt::join(names, " or ")));
  }
  [[noreturn]] void wrong(const char* key, const Json& found, const std::string& expected) const {
    fail(fmt::format("has \"{}\": {}, which is not {}", key, json_excerpt(found), expected));
  }
  [[noreturn]] void fail(const std::string& problem) const {
    throw Error(ErrorKind::kData, fmt::format("{} {}", where_, problem),
                "docs/planner.md describes a machine file");
  }

 private:
  const Json& object_;
  std::string where_;
};

StepVector parse_constants(const Keys& keys, bool may_be_null) {
  StepVector seconds{};
  for (size_t i = 0; i < kStepTerms; ++i) {
    const char* key = kConstantKeys[i];
    if (i >= kRates) {
      seconds[i] = keys.seconds(key);
    } else if (keys.has(key) || !may_be_null) {
      seconds[i] = 1 / keys.number(key, true);
    }
  }
  return seconds;
}

// ranks_per_host: of the machine, for files that do not say those of the rows.
MachineCalibration parse_calibration(const Keys& keys, int64_t ranks_per_host) {
  MachineCalibration calibration;
  calibration.source = keys.text("source");
  calibration.hosts = keys.whole_numbers("hosts");
  calibration.ranks_per_host = keys.has("ranks_per_host") ? keys.whole_numbers("ranks_per_host")
                                                          : std::vector{ranks_per_host};
  calibration.seconds = parse_constants(keys.object("constants"), true);
  calibration.noise = keys.number("noise");
  const Json& covariance = keys.value("covariance");
  if (!covariance.is_array() || covariance.size() != kStepTerms) {
    keys.wrong("covariance", covariance, fmt::format("a list of {} lists", kStepTerms));
  }
  for (size_t i = 0; i < kStepTerms; ++i) {
    calibration.covariance[i] = keys.numbers(covariance[i], "covariance", -kMostVariance);
    if (!(calibration.covariance[i][i] >= 0)) {
      keys.wrong("covariance", covariance[i], "a list with a variance of 0 or more in its place");
    }
  }
  const Json& rows = keys.value("rows");
  if (!rows.is_array()) keys.wrong("rows", rows, "a list");
  for (const Json& one : rows) {
    const Keys row = keys.element(one, "rows");
    calibration.rows.push_back({.name = row.text("name"),
                                .measured_s = row.number("measured_s", true),
                                .fitted_s = row.number("fitted_s", true),
                                .left_out_s = row.number("left_out_s", true)});
  }
  return calibration;
}

MachineModel parse_keys(const Keys& keys) {
  if (keys.text("format") != kFormat) {
    keys.wrong("format", keys.value("format"), fmt::format("\"{}\"", kFormat));
  }
  MachineModel machine;
  machine.name = keys.text("name");
  machine.description = keys.text("description");
  machine.provenance = keys.text("provenance");
  machine.stack =
      keys.choice("stack", training_stack_name,
                  std::array{TrainingStack::kBorealis, TrainingStack::kMegatronDeepSpeed});
  machine.dtype = keys.choice("dtype", dtype_name, std::array{DType::kBF16, DType::kF32});
  machine.memory_bytes = keys.whole("memory_bytes", 1);
  machine.reserve_bytes = keys.whole("reserve_bytes", 0);
  if (machine.reserve_bytes >= machine.memory_bytes) {
    keys.wrong("reserve_bytes", keys.value("reserve_bytes"),
               fmt::format("less than the \"memory_bytes\", {}, that they are taken of",
                           machine.memory_bytes));
  }
  if (keys.has("gpu_multiprocessors")) {
    machine.gpu_multiprocessors = keys.whole("gpu_multiprocessors", 1);
  }
  machine.ranks_per_host = keys.whole("ranks_per_host", 1);
  if (keys.has("cores_per_host")) machine.cores_per_host = keys.whole("cores_per_host", 1);
  const Keys links = keys.object("links");
  machine.links = {.within_host_bytes_per_s = links.number("within_host_bytes_per_s", true),
                   .within_host_latency_s = links.seconds("within_host_latency_s"),
                   .between_hosts_bytes_per_s = links.number("between_hosts_bytes_per_s", true),
                   .between_hosts_latency_s = links.seconds("between_hosts_latency_s"),
                   .all_reduce = links.choice(
                       "all_reduce", all_reduce_name,
                       std::array{AllReduce::kFlat, AllReduce::kRing, AllReduce::kHierarchical})};
  machine.assumed = parse_constants(keys.object("assumed"), false);
  machine.assumed_deviation = keys.positive_numbers("assumed_deviation");
  if (keys.has("calibration")) {
    machine.calibration = parse_calibration(keys.object("calibration"), machine.ranks_per_host);
  }
  return machine;
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code none;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, none)) {
    if (entry.path().extension() == ".json") names.push_back(entry.path().stem().string());
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace

std::string machine_json(const MachineModel& machine) {
  Json json = {{"format", kFormat},
               {"name", machine.name},
               {"description", machine.description},
               {"provenance", machine.provenance},
               {"stack", training_stack_name(machine.stack)},
               {"dtype", dtype_name(machine.dtype)},
               {"memory_bytes", machine.memory_bytes},
               {"reserve_bytes", machine.reserve_bytes},
               {"ranks_per_host", machine.ranks_per_host},
               {"links",
                {{"within_host_bytes_per_s", machine.links.within_host_bytes_per_s},
                 {"within_host_latency_s", machine.links.within_host_latency_s},
                 {"between_hosts_bytes_per_s", machine.links.between_hosts_bytes_per_s},
                 {"between_hosts_latency_s", machine.links.between_hosts_latency_s},
                 {"all_reduce", all_reduce_name(machine.links.all_reduce)}}},
               {"assumed", constants_json(machine.assumed)},
               {"assumed_deviation", machine.assumed_deviation},
               {"calibration",
                machine.calibration ? calibration_json(*machine.calibration) : Json(nullptr)}};
  if (machine.gpu_multiprocessors > 0) json["gpu_multiprocessors"] = machine.gpu_multiprocessors;
  if (machine.cores_per_host > 0) json["cores_per_host"] = machine.cores_per_host;
  return json_text(json, 2) + '\n';
}

MachineModel parse_machine(const std::string& text, const std::string& file) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) {
    throw Error(ErrorKind::kData, fmt::format("{} is not JSON", file),
                "docs/planner.md describes a machine file");
  }
  return parse_keys({json, file});
}

MachineModel find_machine(const std::string& name, const std::string& home) {
  std::error_code none;
  if (name.find('/') != std::string::npos || name.ends_with(".json")) {
    return parse_machine(read_text_file(name), name);
  }
  std::vector<std::string> known;
  for (const fs::path& root : {fs::path(home), fs::path(".")}) {
    if (root.empty()) continue;
    const fs::path path = root / "machines" / (name + ".json");
    if (!name.empty() && fs::exists(path, none)) {
      return parse_machine(read_text_file(path), path.string());
    }
    for (const std::string& one : names_in(root / "machines")) {
      if (std::ranges::find(known, one) == known.end()) known.push_back(one);
    }
  }
  throw Error(
      ErrorKind::kConfig, fmt::format("--machine {} is not a known machine", name),
      known.empty()
          ? "give the path of a machine file, or set BOREALIS_HOME to the "
            "repository, whose machines/ has some"
          : fmt::format("known are {}; a file is named by a path with a / or one that ends in "
                        ".json",
                        fmt::join(known, ", ")));
}

}  // namespace borealis
