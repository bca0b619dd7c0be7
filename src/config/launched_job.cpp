#include "config/launched_job.h"

#include <fmt/format.h>

#include <array>

#include "base/error.h"
#include "base/text.h"

namespace borealis {
namespace {

struct Launcher {
  const char* name;
  const char* library;
  const char* rank;  // variables
  const char* ranks;
  const char* rank_on_host;
};

// In the order in which they are asked: Slurm's are inherited by what another launcher starts.
constexpr std::array kLaunchers = {
    Launcher{"Open MPI's mpirun", "openmpi", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
             "OMPI_COMM_WORLD_LOCAL_RANK"},
    Launcher{"MPICH's mpiexec", "mpich", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"},
    Launcher{"PALS", "mpich", "PALS_RANKID", nullptr, "PALS_LOCAL_RANKID"},
    Launcher{"a PMIx launcher", "openmpi", "PMIX_RANK", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"},
};

std::optional<int64_t> number_of(const Environment& environment, const char* variable) {
  if (variable == nullptr) return std::nullopt;
  const std::optional<std::string> text = environment(variable);
  if (!text) return std::nullopt;
  const std::optional<int64_t> number = whole_number(*text);
  if (!number || *number < 0) {
    throw Error(ErrorKind::kConfig, fmt::format("{}={} is no number of a rank", variable, *text),
                "unset it, or start the ranks with their MPI library's launcher");
  }
  return number;
}

}  // namespace

std::optional<LaunchedJob> launched_job(const Environment& environment) {
  for (const Launcher& launcher : kLaunchers) {
    const std::optional<int64_t> rank = number_of(environment, launcher.rank);
    if (!rank) continue;
    const std::optional<int64_t> ranks = number_of(environment, launcher.ranks);
    if (ranks == 1) return std::nullopt;
    if (ranks && *rank >= *ranks) {
      throw Error(
          ErrorKind::kConfig,
          fmt::format("{}={} is no rank of {}={}", launcher.rank, *rank, launcher.ranks, *ranks),
          "an MPI launcher sets them: start the ranks with it, or unset them");
    }
    return LaunchedJob{launcher.name, launcher.library, *rank,
                       number_of(environment, launcher.rank_on_host), ranks};
  }
  // Each of these tasks would take itself for the only one.
  const char* tasks = "SLURM_STEP_NUM_TASKS";
  if (const auto count = number_of(environment, tasks); count.value_or(1) > 1) {
    throw Error(
        ErrorKind::kConfig,
        fmt::format("srun started {} tasks, but gave them no PMI to find each other by", *count),
        "set SLURM_MPI_TYPE to what the MPI library speaks: pmix for Open MPI, pmi2 for "
        "MPICH");
  }
  return std::nullopt;
}

}  // namespace borealis
