#include "cli/open_backend.h"

#include <fmt/format.h>

#include "base/cores.h"
#include "base/error.h"
#include "base/fault_text.h"
#include "base/memory.h"
#include "config/run_config_loader.h"
#include "kernels/cuda_module.h"

namespace borealis {
namespace {

bool may_be_a_gpu(const MachineConfig& machine) {
  return machine.device == "cuda" || (machine.device != "cpu" && has_nvidia_driver());
}

void require_gpus_can(const OpenedBackend& opened, const ParallelConfig& parallel) {
  if (!opened.own || parallel.replicas() == 1) return;
  if (parallel.sequence_parallel_size > 1) {
    throw Error(ErrorKind::kConfig,
                fmt::format("SP={} on GPUs: ranks that share sequences compute on CPUs so far",
                            parallel.sequence_parallel_size),
                "set SP to 1, or DEVICE=cpu");
  }
  constexpr int64_t kLastThroughHosts = 1;
  if (!opened.own->gpu()->has_group && parallel.zero_stage > kLastThroughHosts) {
    throw Error(ErrorKind::kConfig,
                fmt::format("ZERO_STAGE={} with {} ranks on GPUs: gradients and weights can be "
                            "sharded where each rank has a GPU and there is NCCL",
                            parallel.zero_stage, parallel.replicas()),
                fmt::format("set ZERO_STAGE to {} or less, or DEVICE=cpu", kLastThroughHosts));
  }
  if (parallel.zero_stage == 3 && parallel.zero_hpz_partition_size > 1) {
    throw Error(ErrorKind::kConfig,
                fmt::format("ZERO_HPZ_PARTITION_SIZE={} on GPUs: they keep no second shards",
                            parallel.zero_hpz_partition_size),
                "set it to 1, or DEVICE=cpu");
  }
}

}  // namespace

std::vector<GpuId> gpus_for(const MachineConfig& machine) {
  return may_be_a_gpu(machine) ? visible_gpus() : std::vector<GpuId>();
}

OpenedBackend open_backend(const MachineConfig& machine, const ParallelConfig& parallel) {
  OpenedBackend opened;
  if (!may_be_a_gpu(machine)) return opened;
  try {
    opened.own =
        open_cuda_backend({.deterministic = machine.deterministic,
                           .number = machine.gpu,
                           .ranks = machine.ranks_of_gpu,
                           .in_group = parallel.replicas() > 1 && !machine.gpus_are_shared});
  } catch (const Error& missing) {
    if (machine.device == "cuda") throw;
    opened.warning = fmt::format("the GPU of this machine is not used: {}", fault_text(missing));
  }
  require_gpus_can(opened, parallel);
  if (opened.own && parallel.replicas() > 1 && !opened.own->gpu()->has_group) {
    opened.warning =
        machine.gpus_are_shared
            ? "ranks share a GPU: what they exchange passes through the host's memory"
            : "there is no NCCL (libnccl.so.2): what ranks exchange passes through the "
              "host's memory; install it, or name its folder in LD_LIBRARY_PATH";
  }
  return opened;
}

void add_device_option(CLI::App& app, std::string& device) {
  app.add_option("--device", device,
                 "cuda or cpu; auto: a GPU where there is one [DEVICE, or auto]")
      ->check(CLI::IsMember({"auto", "cuda", "cpu"}));
}

std::string device_option(const std::string& flag) {
  if (!flag.empty()) return flag;
  const std::string device = process_environment()("DEVICE").value_or("auto");
  if (device == "auto" || device == "cuda" || device == "cpu") return device;
  throw Error(ErrorKind::kConfig, fmt::format("DEVICE={} is no device", device),
              "use auto, cuda or cpu");
}

int64_t peak_bytes(Backend& backend) {
  if (backend.gpu() == nullptr) return peak_resident_bytes();
  const Device::Memory memory = backend.device().memory();
  return (memory.total_bytes - memory.free_bytes) / backend.gpu()->ranks;
}

}  // namespace borealis
