// The program that starts the ranks: mpirun, mpiexec or srun, and how each is told where.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "config/rank_layout.h"
#include "config/run_config_loader.h"

namespace borealis {

enum class LauncherFamily {
  kOpenMpi,  // Open MPI's mpirun (PRRTE)
  kHydra,    // MPICH's mpiexec, and Intel MPI's
  kPals,     // HPE's mpiexec under PBS
  kSlurm,    // srun
};

struct Launcher {
  LauncherFamily family = LauncherFamily::kOpenMpi;
  std::vector<std::string> command;  // the program, and what the user says to it
};

// "openmpi" or "mpich": the module of Borealis that its ranks load; "" for srun, which starts both.
std::string module_of(LauncherFamily family);

// What its --version prints tells the family. Throws Error(kRanks) for a text of none.
LauncherFamily family_of_version(const std::string& program, const std::string& version_text);

// What finding a launcher asks of the machine.
struct LauncherQuestions {
  // Standard output and error of `program --version`, found as a shell does; "": there is none.
  std::function<std::string(const std::string& program)> version;
  std::function<bool(const std::string& module)> has_module;  // "openmpi", "mpich"
};
LauncherQuestions this_machine_questions();

// MPIEXEC ("mpiexec -iface ib0") if the user says so; else srun in a job of Slurm; else of mpiexec
// and mpirun the first that is there and whose MPI library Borealis was built for. Throws
// Error(kRanks) where there is none.
Launcher find_launcher(const Environment& environment, Scheduler scheduler,
                       const LauncherQuestions& questions);

// The processor of each host, which are taken to be alike.
struct HostCores {
  int64_t physical = 1;
  int64_t logical = 1;  // hardware threads
};

// Of a job of Slurm what it has of each host (the least), which is not what the shell sees that
// starts the ranks: it may be on another machine, or not be bound. Else `here`, this machine's.
HostCores cores_of_job(const Environment& environment, Scheduler scheduler, HostCores here);

// The command line that starts `program` on every rank, each bound to its own share of the cores;
// where a host has fewer cores than ranks, they are not bound. CPU_BIND replaces the binding.
// `exported`: variables that have to reach other hosts.
std::vector<std::string> launch_command(const Launcher& launcher, const RankLayout& layout,
                                        HostCores cores, const Environment& environment,
                                        const std::vector<std::string>& exported,
                                        const std::vector<std::string>& program);

}  // namespace borealis
