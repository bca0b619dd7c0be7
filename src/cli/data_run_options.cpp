#include "cli/data_run_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <sstream>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/run_setup.h"
#include "config/run_config_loader.h"
#include "config/tokenizer_types.h"

namespace borealis {
namespace {

std::optional<Split> split_of(const std::string& name) {
  for (const Split split : {Split::kTrain, Split::kValid, Split::kTest}) {
    if (name == split_option_name(split)) return split;
  }
  return std::nullopt;
}

constexpr int64_t kMostRanks = 1'000'000;

int64_t number_within(const std::string& flag, const std::string& text, int64_t least,
                      int64_t most = std::numeric_limits<int64_t>::max()) {
  const std::optional<int64_t> value = whole_number(text);
  if (!value || *value < least || *value > most) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{} {} is not a whole number of {} or more, and at most {}", flag, text,
                            least, most));
  }
  return *value;
}

struct SplitArguments {
  std::map<std::string, std::string> own;  // flag -> value; the last one counts
  std::vector<std::string> of_run;
};

// --split is the command's with the name of a split, the run's with shares (990,10,0; 98/2).
SplitArguments take_own(const std::vector<std::string>& arguments, const DataRunCommand& command) {
  SplitArguments parts;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const size_t equals = arguments[i].find('=');
    const std::string flag = arguments[i].substr(0, equals);
    const bool known = std::ranges::find(command.flags, flag) != command.flags.end();
    const bool has_value = equals != std::string::npos || i + 1 < arguments.size();
    if (known && !has_value) {
      throw Error(ErrorKind::kUsage, fmt::format("{} needs a value", flag),
                  fmt::format("see `borealis data {} --help`", command.name));
    }
    if (!known) {
      parts.of_run.push_back(arguments[i]);
      continue;
    }
    const std::string value =
        equals != std::string::npos ? arguments[i].substr(equals + 1) : arguments[i + 1];
    if (flag == "--split" && value.find_first_of("0123456789") != std::string::npos) {
      parts.of_run.push_back(arguments[i]);
      continue;
    }
    parts.own[flag] = value;
    if (equals == std::string::npos) ++i;
  }
  return parts;
}

// The ranks that the environment speaks of are as good as those of the flag: nothing is launched.
struct World {
  Environment environment;
  int64_t size = 1;
};

World take_world(const std::map<std::string, std::string>& own) {
  const Environment process = process_environment();
  World world;
  const auto variable = process("WORLD_SIZE");
  if (variable && !variable->empty())
    world.size = number_within("WORLD_SIZE", *variable, 1, kMostRanks);
  if (const auto flag = own.find("--world-size"); flag != own.end()) {
    world.size = number_within(flag->first, flag->second, 1, kMostRanks);
  }
  world.environment = without_launch(process);
  return world;
}

std::vector<std::string> fields_of(const std::string& list) {
  constexpr std::array<std::string_view, 4> kFields = {"tokens", "loss_mask", "position_ids",
                                                       "document_starts"};
  std::vector<std::string> fields;
  std::istringstream stream(list);
  for (std::string field; std::getline(stream, field, ',');) {
    const bool known = std::ranges::find(kFields, field) != kFields.end();
    if (known && std::ranges::find(fields, field) == fields.end()) {
      fields.push_back(field);
      continue;
    }
    throw Error(
        ErrorKind::kUsage,
        fmt::format("--fields {}: '{}' is {}", list, field, known ? "named twice" : "not known"),
        fmt::format("choose some of {}", fmt::join(kFields, ",")));
  }
  return fields;
}

void apply_own(const std::map<std::string, std::string>& own, DataRunOptions& options) {
  for (const auto& [flag, value] : own) {
    if (flag == "--steps") options.steps = number_within(flag, value, 1);
    if (flag == "--consumed-samples") options.consumed_samples = number_within(flag, value, 0);
    if (flag == "--fields") options.fields = fields_of(value);
    if (flag == "--tokens") {
      if (value != "ids" && value != "text") {
        throw Error(ErrorKind::kUsage, fmt::format("--tokens {} is not known", value),
                    "choose ids or text");
      }
      options.token_format = value;
    }
    if (flag == "--split") {
      const auto split = split_of(value);
      if (!split) {
        throw Error(ErrorKind::kUsage, fmt::format("--split {} is not known", value),
                    "choose train, valid or test, or give the shares as in 990,10,0");
      }
      options.splits = {*split};
    }
  }
}

bool names_numbers(const Environment& environment, const std::vector<std::string>& arguments) {
  const std::string_view type = tokenizer_type_name(TokenizerType::kNull);
  bool found = environment("TOKENIZER_TYPE").value_or("") == type;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--tokenizer-type" && i + 1 < arguments.size()) {
      found = arguments[i + 1] == type;
    } else if (arguments[i].starts_with("--tokenizer-type=")) {
      found = arguments[i].substr(arguments[i].find('=') + 1) == type;
    }
  }
  return found;
}

void print_help(const DataRunCommand& command) {
  fmt::print(
      "{0}\n\nusage: borealis data {1} [options of train] [options]\n\n{2}"
      "  --world-size N        ranks of the run (default: WORLD_SIZE, else 1)\n"
      "  --help                this text\n\n"
      "All variables and flags of `borealis train` make the configuration (DATA_FILE_LIST, SEQ,\n"
      "MICRO_BATCH, GRAD_ACC_STEPS, TRAIN_ITERS, TRAIN_SPLIT, --seed, ...); see `borealis train "
      "--help`.\n",
      command.summary, command.name, command.own_help);
}

}  // namespace

const char* split_option_name(Split split) {
  return split == Split::kTrain ? "train" : split == Split::kValid ? "valid" : "test";
}

std::optional<DataRunOptions> read_data_run_options(const std::vector<std::string>& arguments,
                                                    const DataRunCommand& command) {
  for (const std::string& argument : arguments) {
    if (argument != "--help" && argument != "-h") continue;
    print_help(command);
    return std::nullopt;
  }
  SplitArguments parts = take_own(arguments, command);
  DataRunOptions options;
  apply_own(parts.own, options);
  const World world = take_world(parts.own);
  LoadOptions load;
  load.command = "data " + command.name;
  load.world_size = world.size;
  // Looking at data needs no tokenizer: without a vocabulary every id is shown.
  const bool knows_vocabulary = std::ranges::any_of(parts.of_run, [](const std::string& argument) {
    return argument == "--vocab-size" || argument.starts_with("--vocab-size=");
  });
  // Numbers as text need theirs, and load_run_config says so.
  const bool needs_vocabulary = names_numbers(world.environment, parts.of_run);
  if (!knows_vocabulary && !needs_vocabulary) {
    parts.of_run.push_back("--vocab-size");
    parts.of_run.push_back("128");
  }
  options.config = load_run_config(world.environment, parts.of_run, load);
  if (!knows_vocabulary && !needs_vocabulary)
    options.config.model.vocab_size = std::numeric_limits<int32_t>::max();
  log_open(LogStream::kStderr, options.config.log_level);
  return options;
}

}  // namespace borealis
