#include "cli/run_setup.h"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/units.h"
#include "cli/open_backend.h"
#include "data/assumed_data.h"
#include "data/batch_loader.h"
#include "kernels/cpu_isa.h"
#include "kernels/gpu_shares.h"

namespace borealis {

int prepare_machine(const MachineConfig& machine) {
  limit_cpu_isa(machine.cpu_isa);
  const int threads = machine.threads > 0 ? static_cast<int>(machine.threads) : usable_cores();
  if (const auto cores = cores_of_places(); cores && *cores < threads) {
    log_warning(
        fmt::format("{} threads share the {} core{} of OpenMP's places (OMP_PLACES or "
                    "GOMP_CPU_AFFINITY): at every barrier they wait for each other",
                    threads, *cores, *cores == 1 ? "" : "s"));
  }
  if (threads > omp_get_max_threads()) require_threads(threads);  // main() tried the others
  omp_set_num_threads(threads);
  omp_set_dynamic(0);
  return threads;
}

LoadOptions options_of_ranks(const RankLayout& layout) {
  LoadOptions options;
  options.world_size = layout.ranks();
  options.hosts = layout.host_count();
  options.ranks_per_host = layout.ranks_per_host;
  return options;
}

void share_host(int64_t ranks, MachineConfig& machine) {
  machine.ranks_on_host = ranks;
  if (ranks > 1) {
    const std::vector<std::vector<GpuId>> seen(static_cast<size_t>(ranks), gpus_for(machine));
    machine.ranks_of_gpu = gpu_shares(seen).front().ranks;
    machine.gpus_are_shared = machine.ranks_of_gpu > 1;
  }
  if (machine.threads == 0 && ranks > 1) {
    machine.threads = std::max<int64_t>(1, usable_cores() / ranks);
  }
}

int64_t program_bytes_of_rank(int64_t ranks) {
  // Of 2, 4 and 8 ranks on a host each had 11.6, 11.8 and 12.1 MiB more than this process with Open
  // MPI 4.1, and 13.1 to 13.3 with MPICH 4.0, whatever their number. Other networks were not
  // measured.
  constexpr int64_t kMpiBytes = int64_t{13} << 20;
  return resident_bytes() + (ranks > 1 ? kMpiBytes : 0);
}

Environment without_launch(Environment environment) {
  return [environment](const std::string& name) -> std::optional<std::string> {
    for (const char* of_launch : {"WORLD_SIZE", "NGPU_PER_HOST", "HOSTFILE", "PBS_NODEFILE"}) {
      if (name == of_launch) return std::nullopt;
    }
    return environment(name);
  };
}

std::optional<int64_t> memory_limit_option(const std::string& flag) {
  std::string text = flag;
  if (text.empty()) text = process_environment()("MEMORY_LIMIT").value_or("");
  if (text.empty()) return std::nullopt;
  const std::optional<int64_t> bytes = parse_bytes(text);
  if (!bytes) {
    throw Error(ErrorKind::kConfig,
                fmt::format("{}{} is no amount of memory",
                            flag.empty() ? "MEMORY_LIMIT=" : "--memory-limit ", text),
                "write it as 20GiB or 512M");
  }
  return bytes;
}

PlannedData planned_data(const RunConfig& config) {
  std::string reason = "no data list was found";
  if (config.data.mock_data || !config.data.source().empty()) {
    try {
      return {data_memory_bytes(config, describe_data(config)), ""};
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kFile && error.kind() != ErrorKind::kData) throw;
      reason = fault_text(error);
    }
  }
  return {data_memory_bytes(config, assumed_data(config)),
          fmt::format("the data is not at hand, so the size of its sample index is arithmetic: one "
                      "file with the run's samples, a document each ({})",
                      reason)};
}

}  // namespace borealis
