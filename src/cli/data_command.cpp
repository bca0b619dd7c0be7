#include <array>

#include "cli/command.h"

namespace borealis {
namespace {

constexpr std::array kDataCommands = {
    Command{"tokenize", "turn text into .bin/.idx files of token ids", run_data_tokenize_command},
    Command{"inspect", "counts, document lengths and samples of a pair", run_data_inspect_command},
    Command{"merge", "several pairs as one", run_data_merge_command},
    Command{"verify", "read all of a pair and tell what is wrong with it", run_data_verify_command},
    Command{"blend", "what a data list yields: tokens, epochs, share of each corpus",
            run_data_blend_command},
    Command{"batches", "the batches that a configuration sees, as JSON lines",
            run_data_batches_command},
};

}  // namespace

int run_data_command(const std::vector<std::string>& arguments) {
  return run_group(
      {"borealis data",
       "Prepares and examines training data: Megatron data sets, <prefix>.bin and <prefix>.idx.",
       kDataCommands},
      arguments);
}

}  // namespace borealis
