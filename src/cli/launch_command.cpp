#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "base/cores.h"
#include "base/error.h"
#include "base/process.h"
#include "cli/command.h"
#include "cli/run_ranks.h"
#include "config/run_command.h"
#include "launch/launch_layout.h"
#include "sweep/grid.h"

namespace borealis {
namespace {

constexpr const char* kLaunchHelp =
    "Start the ranks of a run: on the hosts of HOSTFILE, Slurm or PBS, or on this machine; of "
    "each\n"
    "host NGPU_PER_HOST, or what the scheduler says, or one a GPU or a memory domain; by MPIEXEC,\n"
    "srun, mpiexec or mpirun, each rank bound to its share of the cores (CPU_BIND: otherwise).\n\n"
    "usage: borealis launch [--dry-run] train|doctor [options of train]\n\n"
    "  --dry-run             print the command line that starts the ranks, and start nothing\n"
    "  --help                this text\n\n"
    "docs/ranks.md has examples. What is launched already, or is one rank, starts no others.\n";

constexpr std::array kLaunchable = {Command{"train", "", run_train_command},
                                    Command{"doctor", "", run_doctor_command}};

const Command& launchable(const std::string& name) {
  const auto found = std::ranges::find_if(
      kLaunchable, [&](const Command& command) { return name == command.name; });
  if (found != kLaunchable.end()) return *found;
  throw Error(ErrorKind::kUsage, fmt::format("'launch {}' is no command of many ranks", name),
              "try `borealis launch train`, or doctor");
}

// Variables that a run listens to. Launchers other than Open MPI's pass on all there are.
std::vector<std::string> variables_of_run() {
  constexpr std::array<std::string_view, 11> kPrefixes = {
      "BOREALIS_",    "OMP_", "GOMP_", "ONEDNN_", "DNNL_", "HF_",
      "HUGGINGFACE_", "UCX_", "FI_",   "NCCL_",   "CUDA_"};
  std::vector<std::string> names;
  for (char** at = environ; *at != nullptr; ++at) {
    const std::string_view entry = *at;
    const std::string name(entry.substr(0, entry.find('=')));
    const bool is_prefixed = std::ranges::any_of(
        kPrefixes, [&](std::string_view prefix) { return name.starts_with(prefix); });
    const bool is_path = name == "PATH" || name == "LD_LIBRARY_PATH" || name == "XDG_CACHE_HOME";
    if (is_prefixed || is_path || find_variable(name) != nullptr) names.push_back(name);
  }
  return names;
}

std::string shell_text(const std::vector<std::string>& words) {
  std::vector<std::string> quoted;
  for (const std::string& word : words) quoted.push_back(shell_quoted(word));
  return fmt::format("{}", fmt::join(quoted, " "));
}

[[noreturn]] void become(std::vector<std::string> words) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  use_all_processors();
  ::execvp(arguments.front(), arguments.data());
  throw Error(ErrorKind::kRanks,
              fmt::format("cannot start {}: {}", words.front(), std::strerror(errno)),
              "name another launcher: MPIEXEC");
}

}  // namespace

int run_launch_command(const std::vector<std::string>& arguments) {
  auto at = arguments.begin();
  bool dry_run = false;
  for (; at != arguments.end() && at->starts_with('-'); ++at) {
    if (*at == "--help" || *at == "-h") {
      fmt::print("{}", kLaunchHelp);
      return 0;
    }
    if (*at != "--dry-run") {
      throw Error(ErrorKind::kUsage, fmt::format("launch: {} is not known here", *at),
                  "options of the run come behind `train`; see `borealis launch --help`");
    }
    dry_run = true;
  }
  if (at == arguments.end()) {
    throw Error(ErrorKind::kUsage, "launch: nothing to start", "try `borealis launch train`");
  }
  const Command& command = launchable(*at);
  const std::vector<std::string> options(at + 1, arguments.end());
  const bool asks_help = std::ranges::find(options, "--help") != options.end() ||
                         std::ranges::find(options, "-h") != options.end();
  const Environment environment = process_environment();
  if (asks_help || job_of_this_process(environment)) return command.run(options);
  const LaunchPlan plan = plan_launch(environment);
  if (!plan.note.empty()) tell("note: " + plan.note);
  std::vector<std::string> program = {std::filesystem::read_symlink("/proc/self/exe").string(),
                                      command.name};
  program.insert(program.end(), options.begin(), options.end());
  if (!plan.launcher) {
    if (!dry_run) return command.run(options);
    fmt::print("{}\n", shell_text(program));
    return 0;
  }
  const HostCores cores =
      cores_of_job(environment, plan.layout.scheduler,
                   {std::min(usable_physical_cores(), usable_cores()), usable_cores()});
  const std::vector<std::string> words =
      launch_command(*plan.launcher, plan.layout, cores, environment, variables_of_run(), program);
  if (dry_run) {
    fmt::print("{}\n", shell_text(words));
    return 0;
  }
  fmt::print(stderr, "starting {} ({}{}{}): {}\n", layout_text(plan.layout), plan.layout.hosts_from,
             plan.layout.ranks_from.empty() ? "" : ", ", plan.layout.ranks_from, shell_text(words));
  become(words);
}

}  // namespace borealis
