#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/units.h"
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
  std::vector<std::string> only_in_a, only_in_b;
  std::vector<std::string> misshapen;    // of another shape in each
  std::vector<NamedDifference> tensors;  // of those in both

  bool any() const {
    return !architecture.empty() || !only_in_a.empty() || !only_in_b.empty() ||
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
  return difference;
}

Json to_json(const StoredModel& a, const StoredModel& b, const CheckpointDifference& difference) {
  Json architecture = Json::array(), tensors = Json::array();
  for (const SettingDifference& setting : difference.architecture) {
    architecture.push_back({{"key", setting.key}, {"a", setting.a}, {"b", setting.b}});
  }
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
          {"architecture", architecture},
          {"only_in_a", difference.only_in_a},
          {"only_in_b", difference.only_in_b},
          {"shapes", difference.misshapen},
          {"tensors", tensors}};
}

void print_names(const char* title, const std::vector<std::string>& names) {
  if (!names.empty()) fmt::print("{}\n", title);
  for (const std::string& name : names) fmt::print("  {}\n", name);
}

void print_text(const StoredModel& a, const StoredModel& b,
                const CheckpointDifference& difference) {
  fmt::print("A  {}  ({})\nB  {}  ({})\n", a.folder.string(), stored_dtype_name(a.dtype()),
             b.folder.string(), stored_dtype_name(b.dtype()));
  if (!difference.architecture.empty()) fmt::print("architecture\n");
  for (const SettingDifference& setting : difference.architecture) {
    fmt::print("  {}: {} and {}\n", setting.key, setting.a.dump(), setting.b.dump());
  }
  print_names("only in A", difference.only_in_a);
  print_names("only in B", difference.only_in_b);
  print_names("of different shapes", difference.misshapen);
  size_t equal = 0;
  for (const auto& [name, values] : difference.tensors) {
    if (values.different == 0) {
      ++equal;
      continue;
    }
    fmt::print("{:<50} max |a-b| {:<10.3g} relative {:<10.3g} {} of {} elements differ\n", name,
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
    fmt::print("{}\n",
               to_json(a, b, difference).dump(2, ' ', false, Json::error_handler_t::replace));
  } else {
    print_text(a, b, difference);
  }
  return difference.any() ? kDifferent : 0;
}

}  // namespace

int run_checkpoint_diff_command(const std::vector<std::string>& arguments) {
  CLI::App app(
      "Compares two checkpoints: architecture, then every tensor's values, in f32 whatever they "
      "are stored in. Exit code 0 if all are equal, 1 if something differs. relative: the L2 norm "
      "of the difference over that of A's tensor.",
      "borealis checkpoint diff");
  DiffOptions options;
  app.add_option("A", options.a, "a step's folder, a run's checkpoints, or a Hugging Face folder")
      ->required();
  app.add_option("B", options.b, "the other one")->required();
  app.add_flag("--json", options.json, "print one JSON document");
  return parse_arguments(app, arguments) ? diff(options) : 0;
}

}  // namespace borealis
