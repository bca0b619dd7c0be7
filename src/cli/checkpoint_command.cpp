#include <fmt/format.h>

#include <array>
#include <cstdio>

#include "base/error.h"
#include "cli/command.h"

namespace borealis {
namespace {

constexpr std::array kCommands = {
    Command{"export", "a checkpoint as a Hugging Face folder", run_checkpoint_export_command},
    Command{"import", "a Hugging Face folder as a checkpoint to train",
            run_checkpoint_import_command},
    Command{"inspect", "what is in a checkpoint", run_checkpoint_inspect_command},
    Command{"diff", "how two checkpoints differ, tensor by tensor", run_checkpoint_diff_command},
    Command{"verify", "read all of a checkpoint and tell what is wrong with it",
            run_checkpoint_verify_command},
};

void print_usage(std::FILE* stream) {
  fmt::print(stream,
             "Converts and examines checkpoints: safetensors in folders that Hugging Face reads."
             "\n\nusage: borealis checkpoint <command> [options]\n\n");
  for (const Command& command : kCommands) {
    fmt::print(stream, "  {:<10} {}\n", command.name, command.summary);
  }
  fmt::print(stream, "\nborealis checkpoint <command> --help explains a command.\n");
}

}  // namespace

int run_checkpoint_command(const std::vector<std::string>& arguments) {
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
  throw Error(ErrorKind::kUsage, fmt::format("'checkpoint {}' is not a command", name),
              fmt::format("choose one of:{}", known));
}

}  // namespace borealis
