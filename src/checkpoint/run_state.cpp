#include "checkpoint/run_state.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/json_excerpt.h"
#include "base/json_number.h"
#include "checkpoint/damage.h"

namespace borealis {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr size_t kMostSegments = 100'000;
constexpr size_t kMostFiles = 1'000'000;
constexpr size_t kMostGradNorms = 100'000;
constexpr int64_t kMostShards = 1'000'000;
constexpr int kDeepest = 32;
constexpr int64_t kMostCounted = int64_t{1} << 60;  // steps and samples: sums stay in 63 bits

// Typed access to a JSON object whose place in the file is known for messages.
class Fields {
 public:
  Fields(const json& object, std::string place, const std::filesystem::path& path)
      : object_(object), place_(std::move(place)), path_(path) {
    if (!object.is_object()) reject(place_, "is not an object");
  }

  bool has(const char* key) const { return object_.contains(key); }  // older states lack some
  int64_t count(const char* key, int64_t most = std::numeric_limits<int64_t>::max()) const {
    const json& value = at(key);
    if (!value.is_number_integer() || value < 0 || value > most) {
      reject(name_of(key), fmt::format("is {}, not a count", json_excerpt(value)));
    }
    return value.get<int64_t>();
  }
  double number(const char* key) const { return finite(at(key), name_of(key)); }
  bool flag(const char* key) const {
    const json& value = at(key);
    if (!value.is_boolean()) reject(name_of(key), "is not true or false");
    return value.get<bool>();
  }
  std::string text(const char* key) const {
    const json& value = at(key);
    if (!value.is_string()) reject(name_of(key), "is not text");
    return value.get<std::string>();
  }
  const json& list(const char* key, size_t most) const {
    const json& value = at(key);
    if (!value.is_array() || value.size() > most) {
      reject(name_of(key), fmt::format("is not a list of at most {} entries", most));
    }
    return value;
  }
  std::vector<double> numbers(const char* key, size_t most) const {
    std::vector<double> values;
    for (const json& value : list(key, most)) values.push_back(finite(value, name_of(key)));
    return values;
  }
  Fields object(const char* key) const { return {at(key), name_of(key), path_}; }
  // Of an entry of a list.
  Fields entry(const char* key, const json& value) const { return {value, name_of(key), path_}; }
  const json& at(const char* key) const {
    const auto found = object_.find(key);
    if (found == object_.end()) reject(name_of(key), "is missing");
    return *found;
  }
  [[noreturn]] void reject(const std::string& what, const std::string& problem) const {
    reject_checkpoint(path_, fmt::format("{} {}", what, problem));
  }

 private:
  std::string name_of(const char* key) const { return fmt::format("{} of {}", key, place_); }
  double finite(const json& value, const std::string& what) const {
    if (!value.is_number() || !std::isfinite(value.get<double>())) {
      reject(what, "is not a finite number");
    }
    return value.get<double>();
  }

  const json& object_;
  std::string place_;
  const std::filesystem::path& path_;
};

ordered_json to_json(const SplitOrder& order) {
  ordered_json segments = ordered_json::array();
  for (const DataSegment& segment : order.segments) {
    segments.push_back({{"samples", segment.samples}, {"train_samples", segment.train_samples}});
  }
  return {{"begin", order.begin}, {"segments", segments}};
}

SplitOrder split_order_of(const Fields& fields) {
  SplitOrder order{.begin = fields.count("begin", kMostCounted), .segments = {}};
  int64_t left = kMostCounted;
  for (const json& entry : fields.list("segments", kMostSegments)) {
    const Fields segment = fields.entry("segments", entry);
    order.segments.push_back(
        {segment.count("samples", left), segment.count("train_samples", kMostCounted)});
    const DataSegment& added = order.segments.back();
    if (added.samples == 0 || added.train_samples == 0)
      fields.reject("a segment", "is of no samples");
    left -= added.samples;
  }
  return order;
}

ordered_json to_json(const DataIdentity& data) {
  ordered_json files = ordered_json::array();
  for (const DataIdentity::File& file : data.files) {
    files.push_back({{"weight", file.weight},
                     {"corpus", file.corpus},
                     {"sequences", file.sequences},
                     {"tokens", file.tokens}});
  }
  return {{"mock", data.mock},
          {"split", data.split},
          {"exact_epochs", data.exact_epochs},
          {"shuffle_sample_in_corpus", data.shuffle_in_corpus},
          {"blend_sample_in_corpus", data.blend_in_corpus},
          {"files", files}};
}

DataIdentity data_identity_of(const Fields& fields) {
  DataIdentity data{.mock = fields.flag("mock"),
                    .split = fields.text("split"),
                    .exact_epochs = fields.has("exact_epochs") ? fields.count("exact_epochs") : 0,
                    .shuffle_in_corpus = fields.flag("shuffle_sample_in_corpus"),
                    .blend_in_corpus = fields.flag("blend_sample_in_corpus"),
                    .files = {}};
  for (const json& entry : fields.list("files", kMostFiles)) {
    const Fields file = fields.entry("files", entry);
    data.files.push_back({file.number("weight"), file.text("corpus"), file.count("sequences"),
                          file.count("tokens")});
  }
  return data;
}

GlobalBatchStart batch_start_of(const Fields& fields, int64_t iteration) {
  GlobalBatchStart start{.iteration = fields.count("iteration", iteration),
                         .consumed_samples = fields.count("consumed_train_samples", kMostCounted)};
  // Each step took one at least.
  if (start.consumed_samples < start.iteration) {
    fields.reject("consumed_train_samples of global_batch_start", "is less than its iteration");
  }
  if (!fields.has("schedule")) return start;
  const Fields schedule = fields.object("schedule");
  start.schedule = SchedulePlace{.batch = schedule.count("batch", kMostCounted),
                                 .samples = schedule.count("samples", kMostCounted),
                                 .step = schedule.count("step", kMostCounted)};
  if (start.schedule->batch == 0 || start.schedule->step == 0) {
    schedule.reject("a step of schedule of global_batch_start", "is of no samples");
  }
  int64_t done = 0;
  if (__builtin_mul_overflow(iteration - start.iteration, start.schedule->step, &done) ||
      done > kMostCounted) {
    schedule.reject("step of schedule of global_batch_start", "is too large for its iterations");
  }
  return start;
}

// Samples are consumed a global batch a step, and what is to come lies behind them.
void check_samples(const RunState& state, const Fields& fields) {
  const json::json_pointer place("/batch/global_batch_size");
  const json& configuration = state.configuration;
  if (configuration.contains("batch") && configuration["batch"].is_object() &&
      configuration.contains(place)) {
    const auto batch = whole_number_in(configuration[place], 1, kMostCounted);
    if (!batch) fields.reject("global_batch_size of configuration", "is not a number of samples");
    const GlobalBatchStart& start = state.batch_start;
    int64_t of_schedule = 0;
    if (!start.schedule && (__builtin_mul_overflow(state.iteration, *batch, &of_schedule) ||
                            of_schedule > kMostCounted)) {
      fields.reject("iteration", "is too large for its global batch");
    }
    int64_t consumed = 0;
    if (__builtin_mul_overflow(state.iteration - start.iteration, *batch, &consumed) ||
        __builtin_add_overflow(consumed, start.consumed_samples, &consumed) ||
        consumed != state.consumed.train) {
      fields.reject("consumed_train_samples", start == GlobalBatchStart{}
                                                  ? "is not iteration x global_batch_size"
                                                  : "is not that of global_batch_start and "
                                                    "global_batch_size for each iteration since");
    }
  }
  if (state.data_order.train.begin > state.consumed.train ||
      state.data_order.valid.begin > state.consumed.valid) {
    fields.reject("data_order", "begins behind what was consumed");
  }
}

}  // namespace

ScheduleProgress schedule_progress(const GlobalBatchStart& start, int64_t iteration,
                                   int64_t global_batch_size) {
  if (!start.schedule) return {iteration * global_batch_size, global_batch_size};
  const SchedulePlace& place = *start.schedule;
  return {place.samples + (iteration - start.iteration) * place.step, place.batch};
}

ordered_json global_batch_start_json(const GlobalBatchStart& start) {
  ordered_json document = {{"iteration", start.iteration},
                           {"consumed_train_samples", start.consumed_samples}};
  if (start.schedule) {
    document["schedule"] = {{"batch", start.schedule->batch},
                            {"samples", start.schedule->samples},
                            {"step", start.schedule->step}};
  }
  return document;
}

std::string run_state_text(const RunState& state) {
  const bool one_batch = state.batch_start == GlobalBatchStart{};
  ordered_json document = {
      {"version", one_batch ? 1 : kStateVersion},
      {"iteration", state.iteration},
      {"consumed_train_samples", state.consumed.train},
      {"consumed_valid_samples", state.consumed.valid},
      {"optimizer_steps", state.optimizer_steps},
      {"skipped_iterations", state.skipped_iterations},
      {"skipped_in_a_row", state.skipped_in_a_row},
      {"recent_grad_norms", state.recent_grad_norms},
      {"data", to_json(state.data)},
      {"data_order",
       {{"train", to_json(state.data_order.train)}, {"valid", to_json(state.data_order.valid)}}},
      {"partition", {{"shards", state.shards}}},
      {"configuration", state.configuration},
      {"run",
       {{"run_dir", state.run_dir}, {"written_at", state.written_at}, {"borealis", state.version}}},
  };
  if (!one_batch) document["global_batch_start"] = global_batch_start_json(state.batch_start);
  // Text of the user's (paths, labels) may not be UTF-8; what cannot be shown is replaced.
  return json_text(document, 1) + "\n";
}

RunState parse_run_state(std::string_view text, const std::filesystem::path& path) {
  refuse_nul(text, path.string());
  // Ours is a few levels deep; comparing or copying what is nested without end would not end well.
  const auto shallow = [](int depth, json::parse_event_t, const json&) { return depth < kDeepest; };
  const json document = json::parse(text, shallow, /*allow_exceptions=*/false);
  const Fields fields(document, "the document", path);
  const int64_t version = fields.count("version");
  if (version > kStateVersion) {
    throw Error(ErrorKind::kData,
                fmt::format("{} has version {}; this program reads up to {}", path.string(),
                            version, kStateVersion),
                "use the version of Borealis that wrote it, or a later one");
  }
  const Fields order = fields.object("data_order"), run = fields.object("run");
  RunState state;
  state.iteration = fields.count("iteration", kMostCounted);
  state.consumed = {fields.count("consumed_train_samples", kMostCounted),
                    fields.count("consumed_valid_samples", kMostCounted)};
  if (fields.has("global_batch_start")) {
    state.batch_start = batch_start_of(fields.object("global_batch_start"), state.iteration);
  }
  // More than iterations where these were reset.
  state.optimizer_steps = fields.count("optimizer_steps", kMostCounted);
  state.skipped_iterations = fields.count("skipped_iterations", state.iteration);
  state.skipped_in_a_row = fields.count("skipped_in_a_row", state.iteration);
  state.recent_grad_norms = fields.numbers("recent_grad_norms", kMostGradNorms);
  state.data = data_identity_of(fields.object("data"));
  state.data_order = {split_order_of(order.object("train")), split_order_of(order.object("valid"))};
  state.shards = fields.object("partition").count("shards", kMostShards);
  if (state.shards == 0) fields.reject("shards of partition", "is 0");
  state.configuration = fields.at("configuration");
  if (!state.configuration.is_object()) fields.reject("configuration", "is not an object");
  check_samples(state, fields);
  state.run_dir = run.text("run_dir");
  state.written_at = run.text("written_at");
  state.version = run.text("borealis");
  return state;
}

std::string state_shard_name(int64_t shard, int64_t shards) {
  return fmt::format("shard-{:05}-of-{:05}.safetensors", shard, shards);
}

}  // namespace borealis
