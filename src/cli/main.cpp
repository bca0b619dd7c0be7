#include <fcntl.h>
#include <fmt/format.h>
#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <optional>
#include <string_view>
#include <thread>

#include "base/error.h"
#include "base/lost_pages.h"
#include "base/printable.h"
#include "base/process.h"
#include "cli/command.h"
#include "cli/failure.h"
#include "cli/program_version.h"
#include "cli/run_ranks.h"
#include "config/launched_job.h"

namespace borealis {

void tell(const std::string& message) {
  std::fputs(("borealis: " + printable(message) + "\n").c_str(), stderr);
}

namespace {

constexpr std::array kCommands = {
    Command{"train", "train a model; settings come from the environment and from flags",
            run_train_command, true},
    Command{"launch", "start the ranks of a run, on the hosts of a job or of a file",
            run_launch_command, true},
    Command{"doctor", "look at the ranks of a run before it is begun: cores, memory, rates, sums",
            run_doctor_command, true},
    Command{"plan", "parameters, FLOPs per token and memory of a configuration, without running it",
            run_plan_command},
    Command{"sweep", "measure a family of models, one after the other, until memory ends",
            run_sweep_command},
    Command{"report", "the report of a run, or of many as one table", run_report_command},
    Command{"watch", "show how runs are going, on a screen or once", run_watch_command},
    Command{"data", "tokenize text; inspect, merge and verify Megatron data; see what a run reads",
            run_data_command},
    Command{"tokenizer", "train a byte-level BPE tokenizer", run_tokenizer_command},
    Command{"generate", "continue a prompt with a trained model", run_generate_command},
    Command{"eval", "loss, perplexity and bits per byte of a trained model on a text",
            run_eval_command},
    Command{"checkpoint", "export, import, inspect, diff and verify checkpoints",
            run_checkpoint_command},
};

// Of a job of several ranks each would do the whole of it. Rank 0 tells.
void require_one_process(const std::string& name) {
  const auto command =
      std::ranges::find_if(kCommands, [&](const Command& c) { return name == c.name; });
  if (command == kCommands.end() || command->of_ranks) return;
  const std::optional<LaunchedJob> job = job_of_this_process(process_environment());
  if (!job || (!job->ranks && job->rank == 0)) return;  // PALS does not say how many there are
  const Error error(
      ErrorKind::kUsage,
      fmt::format("'{}' runs in one process, and {} started several", name, job->launcher),
      "start it without a launcher");
  if (job->rank == 0 || !job->ranks) throw error;
  throw ToldByOthers(error.kind(), std::string(error.text()));
}

int run(const std::vector<std::string>& arguments) {
  if (!arguments.empty() && arguments.front() == "--version") {
    fmt::print("borealis {}\n", program_version());
    return 0;
  }
  if (!arguments.empty()) require_one_process(arguments.front());
  return run_group({"borealis", "", kCommands}, arguments);
}

// A file that is opened must not become a standard stream that the caller closed, or the log would
// be written into it. What is written to such a stream fails.
void keep_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) < 0) (void)::open("/dev/null", O_RDONLY);
  }
}

int told(const Failure& failure) {
  tell(failure.line);
  return failure.exit_code;
}

// A command whose results got lost has not succeeded.
int checked_output(int exit_code) {
  const bool lost = std::fflush(stdout) != 0 || std::ferror(stdout) != 0;
  if (!lost) return exit_code;
  return exit_code == 0 ? told(lost_output()) : exit_code;
}

}  // namespace
}  // namespace borealis

int main(int argc, char** argv) {
  using namespace borealis;
  keep_standard_streams();
  std::signal(SIGXFSZ, SIG_IGN);  // a file that grows too large is then the error of a write
  tell_of_lost_pages();
  try {
    require_stack();
    require_threads(omp_get_max_threads());
    return checked_output(run({argv + 1, argv + argc}));
  } catch (const ToldByOthers& error) {
    std::this_thread::sleep_for(kTellingTime);
    return error_exit_code(error.kind());
  } catch (const std::exception& error) {
    return told(failure_of(error, argc > 1 ? argv[1] : ""));
  }
}
