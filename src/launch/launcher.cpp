#include "launch/launcher.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <sstream>
#include <string_view>

#include "base/error.h"
#include "base/program_output.h"
#include "config/host_list.h"
#include "config/settings.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

void append(Words& words, std::initializer_list<std::string> more) {
  words.insert(words.end(), more.begin(), more.end());
}

Words words_of(const std::string& text) {
  Words words;
  std::istringstream stream(text);
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

// "a:12,b:12" with 12 ranks each; without counts for launchers that are told them otherwise.
std::string host_list(const RankLayout& layout, bool with_ranks) {
  Words hosts;
  for (const std::string& host : layout.hosts) {
    hosts.push_back(with_ranks ? fmt::format("{}:{}", host, layout.ranks_per_host) : host);
  }
  return fmt::format("{}", fmt::join(hosts, ","));
}

int64_t cores_of_rank(int64_t cores, const RankLayout& layout) {
  return std::max<int64_t>(1, cores / layout.ranks_per_host);
}

Words open_mpi_words(const RankLayout& layout, HostCores cores,
                     const std::optional<std::string>& binding, const Words& exported) {
  Words words;
  if (::geteuid() == 0) append(words, {"--allow-run-as-root"});
  append(words, {"-n", std::to_string(layout.ranks())});
  if (!is_local(layout)) append(words, {"--host", host_list(layout, true)});
  // Slurm's tasks are its slots, and PBS' lines of a host; both may be fewer than ranks asked for.
  if (layout.scheduler != Scheduler::kNone) append(words, {"--oversubscribe"});
  std::string mapping = fmt::format("ppr:{}:node", layout.ranks_per_host);
  const bool enough = layout.ranks_per_host <= cores.physical;
  if (!enough) mapping += ":OVERSUBSCRIBE";
  // Of two processes Open MPI binds each to one core, of more each to a socket, unless it is told
  // how many each has.
  const bool shares = enough && !binding;
  if (shares) mapping += fmt::format(":PE={}", cores_of_rank(cores.physical, layout));
  append(words, {"--map-by", mapping, "--bind-to", binding.value_or(shares ? "core" : "none")});
  if (is_local(layout)) return words;
  for (const std::string& variable : exported) append(words, {"-x", variable});
  return words;
}

Words hydra_words(const RankLayout& layout, HostCores cores,
                  const std::optional<std::string>& binding) {
  Words words;
  if (!is_local(layout)) append(words, {"-hosts", host_list(layout, true)});
  // In a step of Slurm's it would start its helper by srun, and wait for the step's own cores.
  if (is_local(layout) && layout.scheduler == Scheduler::kSlurm) {
    append(words, {"-launcher", "fork"});
  }
  append(words,
         {"-n", std::to_string(layout.ranks()), "-ppn", std::to_string(layout.ranks_per_host)});
  const bool enough = layout.ranks_per_host <= cores.physical;
  append(words,
         {"-bind-to",
          binding.value_or(enough ? fmt::format("core:{}", cores_of_rank(cores.physical, layout))
                                  : "none")});
  return words;
}

Words pals_words(const RankLayout& layout, HostCores cores,
                 const std::optional<std::string>& binding) {
  Words words = {"--envall", "--line-buffer"};
  if (!layout.hosts.empty()) append(words, {"--hosts", host_list(layout, false)});
  append(words,
         {"-n", std::to_string(layout.ranks()), "--ppn", std::to_string(layout.ranks_per_host)});
  if (binding) {
    append(words, {"--cpu-bind", *binding});
  } else if (layout.ranks_per_host <= cores.physical) {
    append(words, {"--depth", std::to_string(cores_of_rank(cores.physical, layout)), "--cpu-bind",
                   "depth"});
  } else {
    append(words, {"--cpu-bind", "none"});
  }
  return words;
}

// srun counts hardware threads. Since Slurm 22.05 it does not take over what the job was given a
// task; and unless it is told to, it leaves the others running when one fails.
Words slurm_words(const RankLayout& layout, HostCores cores,
                  const std::optional<std::string>& binding, const Environment& environment) {
  // Jobs that were submitted with --export=NONE would hand their tasks nothing.
  Words words = {"--unbuffered", "--kill-on-bad-exit=1", "--export=ALL"};
  if (layout.hosts_chosen) append(words, {"--nodelist=" + host_list(layout, false)});
  // Within a step the cores are the step's, which shares them only where both say so.
  if (set_value(environment, "SLURM_STEP_ID")) append(words, {"--overlap"});
  // Of the tasks that Slurm was asked for: more ranks than those share what the job has.
  auto of_task = set_value(environment, "SLURM_CPUS_PER_TASK");
  if (of_task && std::atoll(of_task->c_str()) * layout.ranks_per_host > cores.logical) {
    of_task.reset();
  }
  append(
      words,
      {fmt::format("--nodes={}", layout.host_count()), fmt::format("--ntasks={}", layout.ranks()),
       fmt::format("--ntasks-per-node={}", layout.ranks_per_host),
       "--cpus-per-task=" + of_task.value_or(std::to_string(cores_of_rank(cores.logical, layout))),
       "--cpu-bind=" +
           binding.value_or(layout.ranks_per_host <= cores.logical ? "cores" : "none")});
  if (layout.ranks_per_host > cores.logical) append(words, {"--overcommit"});
  return words;
}

// Throws Error(kRanks) where Borealis cannot run under it.
Launcher usable_launcher(const LauncherQuestions& questions, const Words& command) {
  const std::string& program = command.front();
  const LauncherFamily family = family_of_version(program, questions.version(program));
  const std::string module = module_of(family);
  if (module.empty() || questions.has_module(module)) return {family, command};
  throw Error(
      ErrorKind::kRanks,
      fmt::format("{} starts ranks of {}, which was not there when Borealis was built", program,
                  module),
      fmt::format("install lib{}-dev and build again, or name another launcher: MPIEXEC", module));
}

}  // namespace

std::string module_of(LauncherFamily family) {
  switch (family) {
    case LauncherFamily::kOpenMpi:
      return "openmpi";
    case LauncherFamily::kHydra:
    case LauncherFamily::kPals:
      return "mpich";
    case LauncherFamily::kSlurm:
      return "";
  }
  return "";
}

LauncherFamily family_of_version(const std::string& program, const std::string& version_text) {
  const auto says = [&](std::string_view word) {
    return version_text.find(word) != std::string::npos;
  };
  if (says("Open MPI") || says("OpenRTE") || says("PRRTE")) return LauncherFamily::kOpenMpi;
  // "mpiexec version 1.8.0 revision ...", without a name.
  if (says("PALS") || version_text.starts_with("mpiexec version ")) return LauncherFamily::kPals;
  if (says("HYDRA") || says("Hydra") || says("Intel(R) MPI")) return LauncherFamily::kHydra;
  if (version_text.starts_with("slurm")) return LauncherFamily::kSlurm;
  throw Error(ErrorKind::kRanks,
              version_text.empty() ? fmt::format("{} is not there, or does not run", program)
                                   : fmt::format("{} is of no MPI library that is known", program),
              "give MPIEXEC the mpirun or mpiexec of Open MPI, MPICH, Intel MPI or PALS, or srun");
}

LauncherQuestions this_machine_questions() {
  const fs::path folder = fs::read_symlink("/proc/self/exe").parent_path();
  // A sweep asks for every point.
  static std::map<std::string, std::string> versions;
  return {.version =
              [](const std::string& program) {
                const auto [known, is_new] = versions.try_emplace(program);
                if (is_new) known->second = program_output({program, "--version"}).value_or("");
                return known->second;
              },
          .has_module =
              [folder](const std::string& module) {
                return fs::exists(folder / fmt::format("borealis_mpi_{}.so", module));
              }};
}

Launcher find_launcher(const Environment& environment, Scheduler scheduler,
                       const LauncherQuestions& questions) {
  if (const auto said = set_value(environment, "MPIEXEC")) {
    return usable_launcher(questions, words_of(*said));
  }
  if (scheduler == Scheduler::kSlurm && !questions.version("srun").empty()) {
    return {LauncherFamily::kSlurm, {"srun"}};
  }
  // The last ones are Debian's names where both libraries are installed.
  constexpr std::array kPrograms = {"mpiexec", "mpirun", "mpiexec.mpich", "mpirun.openmpi"};
  std::optional<Error> first_refusal;
  for (const char* program : kPrograms) {
    if (questions.version(program).empty()) continue;
    try {
      return usable_launcher(questions, {program});
    } catch (const Error& refusal) {
      if (!first_refusal) first_refusal = refusal;
    }
  }
  if (first_refusal) throw *first_refusal;
  throw Error(ErrorKind::kRanks, "there is no launcher of an MPI library (mpiexec, mpirun) in PATH",
              "install one and build again (apt-get install openmpi-bin libopenmpi-dev), or name "
              "it: MPIEXEC");
}

HostCores cores_of_job(const Environment& environment, Scheduler scheduler, HostCores here) {
  const auto given = set_value(environment, "SLURM_JOB_CPUS_PER_NODE");
  if (!given || scheduler != Scheduler::kSlurm) return here;
  const int64_t threads_of_core = std::max<int64_t>(1, here.logical / here.physical);
  const int64_t logical = std::ranges::min(expand_slurm_counts(*given));
  return {.physical = std::max<int64_t>(1, logical / threads_of_core), .logical = logical};
}

std::vector<std::string> launch_command(const Launcher& launcher, const RankLayout& layout,
                                        HostCores cores, const Environment& environment,
                                        const std::vector<std::string>& exported,
                                        const std::vector<std::string>& program) {
  const auto binding = set_value(environment, "CPU_BIND");
  Words command = launcher.command;
  Words words;
  switch (launcher.family) {
    case LauncherFamily::kOpenMpi:
      words = open_mpi_words(layout, cores, binding, exported);
      break;
    case LauncherFamily::kHydra:
      words = hydra_words(layout, cores, binding);
      break;
    case LauncherFamily::kPals:
      words = pals_words(layout, cores, binding);
      break;
    case LauncherFamily::kSlurm:
      words = slurm_words(layout, cores, binding, environment);
      break;
  }
  command.insert(command.end(), words.begin(), words.end());
  command.insert(command.end(), program.begin(), program.end());
  return command;
}

}  // namespace borealis
