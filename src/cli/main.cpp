#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <exception>
#include <string_view>

#include "base/error.h"
#include "cli/command.h"

namespace borealis {
namespace {

constexpr std::array kCommands = {
    Command{"train", "train a model; settings come from the environment and from flags",
            run_train_command},
    Command{"plan", "parameters, FLOPs per token and memory of a configuration, without running it",
            run_plan_command},
    Command{"report", "write report.md and report.html for a finished run", run_report_command},
    Command{"data", "tokenize text; inspect, merge and verify Megatron data; see what a run reads",
            run_data_command},
    Command{"tokenizer", "train a byte-level BPE tokenizer", run_tokenizer_command},
    Command{"generate", "continue a prompt with a trained model", run_generate_command},
    Command{"eval", "loss, perplexity and bits per byte of a trained model on a text",
            run_eval_command},
    Command{"checkpoint", "export, import, inspect, compare and verify checkpoints",
            run_checkpoint_command},
};

int run(const std::vector<std::string>& arguments) {
  if (!arguments.empty() && arguments.front() == "--version") {
    fmt::print("borealis {} ({})\n", BOREALIS_VERSION, BOREALIS_COMMIT);
    return 0;
  }
  return run_group({"borealis", "", kCommands}, arguments);
}

}  // namespace
}  // namespace borealis

int main(int argc, char** argv) {
  try {
    return borealis::run({argv + 1, argv + argc});
  } catch (const borealis::Error& error) {
    fmt::print(stderr, "borealis: {}\n", error.what());
    return borealis::error_exit_code(error.kind());
  } catch (const std::bad_alloc&) {
    fmt::print(stderr,
               "borealis: memory: the system refused an allocation; lower the model, the "
               "sequence or the micro batch, or see `borealis plan`\n");
    return borealis::error_exit_code(borealis::ErrorKind::kMemory);
  } catch (const std::exception& error) {
    fmt::print(stderr, "borealis: internal error: {}\n", error.what());
    return 70;
  }
}
