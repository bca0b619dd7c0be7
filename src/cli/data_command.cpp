#include <fmt/format.h>

#include <array>
#include <cstdio>

#include "base/error.h"
#include "cli/command.h"

namespace borealis {
namespace {

constexpr std::array kCommands = {
    Command{"tokenize", "turn text into .bin/.idx files of token ids", run_data_tokenize_command},
    Command{"inspect", "counts, document lengths and samples of a pair", run_data_inspect_command},
    Command{"merge", "several pairs as one", run_data_merge_command},
    Command{"verify", "read all of a pair and tell what is wrong with it", run_data_verify_command},
    Command{"blend", "what a data list yields: tokens, epochs, share of each corpus",
            run_data_blend_command},
    Command{"batches", "the batches that a configuration sees, as JSON lines",
            run_data_batches_command},
};

void print_usage(std::FILE* stream) {
  fmt::print(stream,
             "Prepares and examines training data: Megatron data sets, <prefix>.bin and "
             "<prefix>.idx.\n\nusage: borealis data <command> [options]\n\n");
  for (const Command& command : kCommands) {
    fmt::print(stream, "  {:<10} {}\n", command.name, command.summary);
  }
  fmt::print(stream, "\nborealis data <command> --help explains a command.\n");
}

}  // namespace

int run_data_command(const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    print_usage(stderr);
    return error_exit_code(ErrorKind::kUsage);
  }
  const std::string& name = arguments.front();
  if (name == "--help" || name == "-h" || name == "help") {
    print_usage(stdout);
    return 0;
  }
  for (const Command& command : kCommands) {
    if (name == command.name) return command.run({arguments.begin() + 1, arguments.end()});
  }
  std::string known;
  for (const Command& command : kCommands) known += fmt::format(" {}", command.name);
  throw Error(ErrorKind::kUsage, fmt::format("'data {}' is not a command", name),
              fmt::format("choose one of:{}", known));
}

}  // namespace borealis
