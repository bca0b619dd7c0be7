#include "publish/wandb_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/crc.h"
#include "base/error.h"
#include "base/protobuf_fields.h"
#include "model/accounting.h"
#include "publish/reference_arguments.h"
#include "sweep/measurement.h"
#include "telemetry/step_series.h"
#include "telemetry/wandb_log.h"

namespace borealis {
namespace {

using Json = nlohmann::json;

constexpr size_t kBlock = 32768;
constexpr size_t kChunkHeader = 7;
// Fields of the messages (wandb_internal.proto).
constexpr uint32_t kHistory = 2, kConfig = 5, kRun = 17;
constexpr uint32_t kRunConfig = 4, kItems = 1, kKey = 1, kNestedKey = 2, kJson = 16;

uint32_t little_endian(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

// take(keys, JSON text) for every item of a ConfigRecord or HistoryRecord: its key, or those of the
// objects that it lies in before it.
template <typename Take>
void for_each_item(std::string_view message, const Take& take) {
  for_each_protobuf_field(message, [&take](const ProtobufField& field) {
    if (field.number != kItems) return;
    std::vector<std::string_view> keys;
    std::string_view key, json;
    for_each_protobuf_field(field.bytes, [&](const ProtobufField& part) {
      if (part.number == kKey) key = part.bytes;
      if (part.number == kNestedKey) keys.push_back(part.bytes);
      if (part.number == kJson) json = part.bytes;
    });
    if (keys.empty()) keys = {key};
    take(keys, json);
  });
}

void take_config(std::string_view message, Json& config) {
  for_each_item(message,
                [&config](const std::vector<std::string_view>& keys, std::string_view json) {
                  Json value = Json::parse(json, nullptr, /*allow_exceptions=*/false);
                  if (value.is_discarded()) return;  // NaN and Infinity are no JSON
                  Json* place = &config;
                  for (const std::string_view key : keys) {
                    if (!place->is_object() && !place->is_null()) return;
                    place = &(*place)[std::string(key)];
                  }
                  *place = std::move(value);
                });
}

// A text for every argument, as a log shows them.
std::map<std::string, std::string> texts_of(const Json& object) {
  std::map<std::string, std::string> texts;
  for (const auto& [key, value] : object.items()) {
    if (value.is_structured()) continue;
    texts[key] = value.is_string()    ? value.get<std::string>()
                 : value.is_boolean() ? std::string(value.get<bool>() ? "True" : "False")
                                      : value.dump();
  }
  return texts;
}

// NaN for what is no finite number.
double real_of(std::string_view json) {
  double value = 0;
  const auto [end, error] = std::from_chars(json.data(), json.data() + json.size(), value);
  const bool is_number = error == std::errc() && end == json.data() + json.size();
  return is_number && std::isfinite(value) ? value : std::numeric_limits<double>::quiet_NaN();
}

struct Column {
  std::string_view key;
  double StepRecord::*value;
  double unit = 1;
};
constexpr Column kColumns[] = {
    {"throughput/iteration-time", &StepRecord::elapsed_ms, 1e3},
    {"throughput/tokens_per_gpu_per_sec", &StepRecord::tokens_per_gpu_per_second},
    {"throughput/tflops-lm", &StepRecord::tflops},
    {"throughput/samples_per_sec", &StepRecord::samples_per_second},
    {"loss/lm loss", &StepRecord::lm_loss},
    {"timers/forward_ms", &StepRecord::forward_ms},
    {"timers/backward_ms", &StepRecord::backward_ms},
    {"timers/optimizer_ms", &StepRecord::optimizer_ms},
    {"timers/communication_ms", &StepRecord::communication_ms},
    {"timers/data_ms", &StepRecord::data_ms},
};

// The step of a HistoryRecord; none for rows of other things.
std::optional<StepRecord> step_of(std::string_view row) {
  StepRecord step;
  for (const Column& column : kColumns) {
    step.*column.value = std::numeric_limits<double>::quiet_NaN();
  }
  double iteration = 0, tokens = 0;
  for_each_item(row, [&](const std::vector<std::string_view>& keys, std::string_view json) {
    if (keys.size() != 1) return;
    if (keys[0] == "throughput/iteration") iteration = real_of(json);
    if (keys[0] == "training/consumed_tokens") tokens = real_of(json);
    for (const Column& column : kColumns) {
      if (keys[0] == column.key) step.*column.value = column.unit * real_of(json);
    }
  });
  if (!(iteration >= 1 && iteration < 1e15) || !(step.tokens_per_gpu_per_second > 0)) {
    return std::nullopt;
  }
  step.iteration = static_cast<int64_t>(iteration);
  step.consumed_tokens = tokens >= 0 && tokens < 1e18 ? static_cast<int64_t>(tokens) : 0;
  return step;
}

std::string text_of(const Json& config, const char* key) {
  const auto found = config.find(key);
  return found != config.end() && found->is_string() ? found->get<std::string>() : "";
}

int64_t count_of(const Json& config, const char* key) {
  const auto found = config.find(key);
  return found != config.end() && found->is_number_integer() ? found->get<int64_t>() : 0;
}

void take_wandb_config(const Json& config, const std::string& name, MeasuredRun& run) {
  const auto args = config.find("args");
  if (args == config.end() || !args->is_object()) {
    throw Error(ErrorKind::kData, fmt::format("{} has no arguments in its configuration", name),
                "give the offline run of a training");
  }
  const bool is_ours = args->contains("model");
  if (is_ours) {
    take_run_configuration(*args, name, run);
    run.family = family_of_model(run.model.name);
    run.dtype = text_of(*args, "dtype");
    run.isa = text_of(config, "isa");
    if (run.isa.empty()) run.isa = "not known";
    run.version = text_of(config, "borealis_version");
    for (const auto& [key, value] : texts_of(config.value("env", Json::object()))) {
      run.settings.push_back({key, value});
    }
  } else {
    take_reference_arguments(texts_of(*args), name, run);
  }
  run.gemm_tflops = std::numeric_limits<double>::quiet_NaN();
  run.parameters = count_of(config, "num_params");
  if (run.parameters == 0) run.parameters = parameter_count(run.model);
  run.planned_bytes = count_of(config, "planned_memory_bytes");
  run.machine.hostname = text_of(config, "hostname");
  run.machine.cpu_model = text_of(config, "machine");
  run.machine.cores = count_of(config, "cores");
  run.started_at = stamp_of(text_of(config, "created_at"));
}

}  // namespace

int64_t for_each_wandb_record(std::string_view file, const std::string& name,
                              const std::function<void(std::string_view)>& take) {
  if (!file.starts_with(kWandbLogHeader)) {
    throw Error(ErrorKind::kData, fmt::format("{} is no log of Weights & Biases", name),
                "give the folder of an offline run");
  }
  constexpr int kFull = 1, kFirst = 2, kLast = 4;
  int64_t damaged_blocks = 0;
  std::string pieces;  // of a record that began
  bool is_open = false;
  for (size_t at = kWandbLogHeader.size(); at + kChunkHeader <= file.size();) {
    const size_t left = kBlock - at % kBlock;
    if (left < kChunkHeader) {
      at += left;
      continue;
    }
    const size_t length = little_endian(file.substr(at + 4, 2));
    if (at + kChunkHeader + length > file.size()) break;  // cut off while it was written
    const int type = file[at + 6];
    if (kChunkHeader + length > left || type < kFull || type > kLast ||
        little_endian(file.substr(at, 4)) != crc32_ieee(file.substr(at + 6, 1 + length))) {
      ++damaged_blocks;
      at += left;
      is_open = false;
      continue;
    }
    const std::string_view content = file.substr(at + kChunkHeader, length);
    if (type == kFull) {
      take(content);
      is_open = false;
    } else {
      if (type == kFirst) {
        pieces.clear();
        is_open = true;
      }
      if (is_open) pieces += content;
      if (is_open && type == kLast) {
        take(pieces);
        is_open = false;
      }
    }
    at += kChunkHeader + length;
  }
  return damaged_blocks;
}

MeasuredRun parse_wandb_log(std::string_view file, const std::string& name, int64_t warmup_steps) {
  Json config = Json::object();
  std::map<int64_t, StepRecord> steps;  // of an iteration that comes again the last counts
  const auto take = [&](std::string_view record) {
    for_each_protobuf_field(record, [&](const ProtobufField& field) {
      if (field.number == kConfig) take_config(field.bytes, config);
      if (field.number == kRun) {
        for_each_protobuf_field(field.bytes, [&config](const ProtobufField& part) {
          if (part.number == kRunConfig) take_config(part.bytes, config);
        });
      }
      if (field.number != kHistory) return;
      if (const auto step = step_of(field.bytes)) steps[step->iteration] = *step;
    });
  };
  const int64_t damaged_blocks = for_each_wandb_record(file, name, take);
  MeasuredRun run;
  run.source = name;
  run.state = "an offline run of Weights & Biases";
  if (damaged_blocks > 0) {
    run.problem = fmt::format("{} block{} of it {} damaged: steps may be missing", damaged_blocks,
                              damaged_blocks == 1 ? "" : "s", damaged_blocks == 1 ? "is" : "are");
  }
  take_wandb_config(config, name, run);
  // The first step of a process that goes on holds its start-up as well.
  constexpr int64_t kMostIterations = 1'000'000'000'000;
  const int64_t resumed_at = count_of(config, "resumed_at_iteration");
  run.warmup_steps = warmup_steps + std::clamp<int64_t>(resumed_at, 0, kMostIterations);
  StepSeries series;
  for (auto& [iteration, step] : steps) {
    if (std::isfinite(step.lm_loss)) {
      run.loss.push_back({static_cast<double>(step.consumed_tokens), step.lm_loss});
    }
    step.global_batch_size = run.global_batch_size;
    series.add(step);
  }
  run.step_stride = series.stride();
  run.steps = steps_behind_warmup(series.steps(), run.warmup_steps);
  run.loss = thin_points(run.loss, kLossBuckets);
  if (run.steps.empty()) {
    throw Error(ErrorKind::kData,
                fmt::format("{} has no step behind the first {}, which do not count", name,
                            run.warmup_steps),
                "leave the run out, or give a smaller --warmup");
  }
  return run;
}

std::filesystem::path wandb_log_in(const std::filesystem::path& folder) {
  const std::string name = folder.filename().string();
  if (name.find("run-") == std::string::npos) return {};
  std::vector<std::filesystem::path> logs;
  std::error_code unreadable;
  for (const auto& entry : std::filesystem::directory_iterator(folder, unreadable)) {
    if (entry.path().extension() == ".wandb") logs.push_back(entry.path());
  }
  return logs.size() == 1 ? logs.front() : std::filesystem::path();
}

}  // namespace borealis
