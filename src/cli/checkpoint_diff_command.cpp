#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/json_excerpt.h"
#include "base/log.h"
#include "base/units.h"
#include "checkpoint/state_pieces.h"
#include "checkpoint/stored_state.h"
#include "checkpoint/tensor_difference.h"
#include "cli/command.h"
#include "cli/parse_arguments.h"
#include "cli/stored_model.h"
#include "cli/work_progress.h"
#include "config/hf_config.h"

namespace borealis {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kDifferent = 1;  // as diff(1) and cmp(1) do

struct DiffOptions {
  std::string a, b;
  bool json = false;
};

struct SettingDifference {
  std::string key;
  Json a, b;  // null where a side has no such key
};

struct NamedDifference {
  std::string name;
  TensorDifference values;
};

struct CheckpointDifference {
  std::vector<SettingDifference> architecture;
  std::vector<SettingDifference> progress;       // of the training states, where both have one
  std::vector<SettingDifference> configuration;  // of the runs; no part of what must be equal
  std::vector<std::string> only_in_a, only_in_b;
  std::vector<std::string> misshapen;    // of another shape in each
  std::vector<NamedDifference> tensors;  // of those in both, then of the training states

  bool any() const {
    return !architecture.empty() || !progress.empty() || !only_in_a.empty() || !only_in_b.empty() ||
           !misshapen.empty() ||
           std::ranges::any_of(tensors, [](const auto& t) { return t.values.different > 0; });
  }
};

// Keys of the two objects, each once, those of `a` first.
std::vector<SettingDifference> compare_settings(const Json& a, const Json& b) {
  std::vector<SettingDifference> differences;
  for (const auto& [key, value] : a.items()) {
    const Json other = b.contains(key) ? b[key] : Json();
    if (value != other) differences.push_back({key, value, other});
  }
  for (const auto& [key, value] : b.items()) {
    if (!a.contains(key) && !value.is_null()) differences.push_back({key, Json(), value});
  }
  return differences;
}

// As config.json would state it; the name and the stored type are no part of the architecture.
Json architecture_json(const ModelConfig& model) {
  Json json = Json::parse(hf_config_text(model, {}, "float32"));
  json.erase("_name_or_path");
  json.erase("torch_dtype");
  return json;
}

Json progress_json(const RunState& state) {
  return {{"iteration", state.iteration},
          {"consumed_train_samples", state.consumed.train},
          {"consumed_valid_samples", state.consumed.valid},
          {"optimizer_steps", state.optimizer_steps},
          {"skipped_iterations", state.skipped_iterations}};
}

// Tensors that both models have in one shape; the states of others were reported with them.
void compare_states(const StoredModel& a, const StoredModel& b, CheckpointDifference& difference) {
  if (!StoredState::is_in(a.folder) || !StoredState::is_in(b.folder)) return;
  const StoredState first(a.folder), second(b.folder);
  difference.progress =
      compare_settings(progress_json(first.state()), progress_json(second.state()));
  difference.configuration = compare_settings(Json(first.state().configuration).flatten(),
                                              Json(second.state().configuration).flatten());
  for (const PromisedTensor& tensor : a.promised) {
    const TensorView* other = b.weights.find(tensor.name);
    if (other == nullptr || other->shape != tensor.shape) continue;
    for (const std::string_view kind : {kMasterWeight, kFirstMoment, kSecondMoment}) {
      const TensorElements left = first.elements(kind, tensor.name, tensor.shape);
      difference.tensors.push_back(
          {left.name, compare_tensors(left, second.elements(kind, tensor.name, tensor.shape))});
    }
  }
}

CheckpointDifference compare(const StoredModel& a, const StoredModel& b) {
  CheckpointDifference difference;
  difference.architecture =
      compare_settings(architecture_json(a.config), architecture_json(b.config));
  WorkProgress progress("comparing");
  int64_t done = 0;
  for (const PromisedTensor& tensor : a.promised) {
    progress.update(++done, static_cast<int64_t>(a.promised.size()));
    const TensorView* other = b.weights.find(tensor.name);
    if (other == nullptr) {
      difference.only_in_a.push_back(tensor.name);
    } else if (other->shape != tensor.shape) {
      difference.misshapen.push_back(fmt::format("{}: [{}] and [{}]", tensor.name,
                                                 fmt::join(tensor.shape, ", "),
                                                 fmt::join(other->shape, ", ")));
    } else {
      difference.tensors.push_back(
          {tensor.name, compare_tensors(elements_of(a.weights, tensor.name),
                                        elements_of(b.weights, tensor.name))});
    }
  }
  for (const PromisedTensor& tensor : b.promised) {
    if (a.weights.find(tensor.name) == nullptr) difference.only_in_b.push_back(tensor.name);
  }
  compare_states(a, b, difference);
  return difference;
}

Json settings_json(const std::vector<SettingDifference>& settings) {
  Json list = Json::array();
  for (const SettingDifference& setting : settings) {
    list.push_back({{"key", setting.key}, {"a", setting.a}, {"b", setting.b}});
  }
  return list;
}

Json to_json(const StoredModel& a, const StoredModel& b, const CheckpointDifference& difference) {
  Json tensors = Json::array();
  for (const auto& [name, values] : difference.tensors) {
    tensors.push_back({{"name", name},
                       {"elements", values.elements},
                       {"different", values.different},
                       {"max_absolute", values.max_absolute},
                       {"relative", values.relative}});
  }
  return {{"a", a.folder.string()},
          {"b", b.folder.string()},
          {"equal", !difference.any()},
          {"dtype_a", stored_dtype_name(a.dtype())},
          {"dtype_b", stored_dtype_name(b.dtype())},
          {"state_a", StoredState::is_in(a.folder)},
          {"state_b", StoredState::is_in(b.folder)},
          {"architecture", settings_json(difference.architecture)},
          {"progress", settings_json(difference.progress)},
          {"configuration", settings_json(difference.configuration)},
          {"only_in_a", difference.only_in_a},
          {"only_in_b", difference.only_in_b},
          {"shapes", difference.misshapen},
          {"tensors", tensors}};
}

void print_settings(const char* title, const std::vector<SettingDifference>& settings) {
  if (!settings.empty()) fmt::print("{}\n", title);
  for (const SettingDifference& setting : settings) {
    fmt::print("  {}: {} and {}\n", setting.key, json_text(setting.a), json_text(setting.b));
  }
}

std::string content_of(const StoredModel& model) {
  return fmt::format("{}{}", stored_dtype_name(model.dtype()),
                     StoredState::is_in(model.folder) ? " and a training state" : "");
}

void print_names(const char* title, const std::vector<std::string>& names) {
  if (!names.empty()) fmt::print("{}\n", title);
  for (const std::string& name : names) fmt::print("  {}\n", name);
}

void print_text(const StoredModel& a, const StoredModel& b,
                const CheckpointDifference& difference) {
  fmt::print("A  {}  ({})\nB  {}  ({})\n", a.folder.string(), content_of(a), b.folder.string(),
             content_of(b));
  print_settings("architecture", difference.architecture);
  print_settings("progress", difference.progress);
  print_settings("configuration of the runs (says nothing of the numbers)",
                 difference.configuration);
  print_names("only in A", difference.only_in_a);
  print_names("only in B", difference.only_in_b);
  print_names("of different shapes", difference.misshapen);
  size_t equal = 0;
  for (const auto& [name, values] : difference.tensors) {
    if (values.different == 0) {
      ++equal;
      continue;
    }
    fmt::print("{:<62} max |a-b| {:<10.3g} relative {:<10.3g} {} of {} elements differ\n", name,
               values.max_absolute, values.relative, format_count(values.different),
               format_count(values.elements));
  }
  fmt::print("{} of {} tensors in both are equal\n", equal, difference.tensors.size());
}

int diff(const DiffOptions& options) {
  log_open(LogStream::kStderr, "INFO");
  const StoredModel a(options.a), b(options.b);
  const CheckpointDifference difference = compare(a, b);
  if (options.json) {
    fmt::print("{}\n", json_text(to_json(a, b, difference), 2));
  } else {
    print_text(a, b, difference);
  }
  return difference.any() ? kDifferent : 0;
}

}  // namespace

int run_checkpoint_diff_command(const std::vector<std::string>& arguments) {
  CLI::App app(
      "Compares two checkpoints: architecture, then every tensor's values, in f32 whatever they "
      "are stored in, and where both have a training state its counters, master weights and "
      "moments. Exit code 0 if all are equal, 1 if something differs; how the runs were "
      "configured is shown and does not count. relative: the L2 norm of the difference over that "
      "of A's tensor.",
      "borealis checkpoint diff");
  DiffOptions options;
  app.add_option("A", options.a, "a step's folder, a run's checkpoints, or a Hugging Face folder")
      ->required();
  app.add_option("B", options.b, "the other one")->required();
  app.add_flag("--json", options.json, "print one JSON document");
  return parse_arguments(app, arguments) ? diff(options) : 0;
}

}  // namespace borealis
