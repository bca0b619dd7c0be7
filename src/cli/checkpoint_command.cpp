#include <array>

#include "cli/command.h"

namespace borealis {
namespace {

constexpr std::array kCheckpointCommands = {
    Command{"export", "a checkpoint as a Hugging Face folder", run_checkpoint_export_command},
    Command{"import", "a Hugging Face folder as a checkpoint to train",
            run_checkpoint_import_command},
    Command{"inspect", "what is in a checkpoint", run_checkpoint_inspect_command},
    Command{"diff", "how two checkpoints differ, tensor by tensor", run_checkpoint_diff_command},
    Command{"verify", "read all of a checkpoint and tell what is wrong with it",
            run_checkpoint_verify_command},
};

}  // namespace

int run_checkpoint_command(const std::vector<std::string>& arguments) {
  return run_group(
      {"borealis checkpoint",
       "Converts and examines checkpoints: safetensors in folders that Hugging Face reads.",
       kCheckpointCommands},
      arguments);
}

}  // namespace borealis
