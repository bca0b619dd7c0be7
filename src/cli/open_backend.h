// What a command computes on.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/run_config.h"
#include "kernels/backend.h"
#include "kernels/gpu_shares.h"

namespace borealis {

struct OpenedBackend {
  std::unique_ptr<Backend> own;  // null: the host
  std::string warning;           // why DEVICE=auto did without a GPU that is there; often empty

  Backend& get() const { return own ? *own : cpu_backend(); }
};

// Those that this process sees, where machine.device may mean one of them.
std::vector<GpuId> gpus_for(const MachineConfig& machine);
// By machine.device; parallel: of a run. Throws Error(kDevice) where a GPU is asked for and cannot
// be used, Error(kConfig) for a ZeRO stage that GPUs do not have.
OpenedBackend open_backend(const MachineConfig& machine, const ParallelConfig& parallel = {});

// The option --device of commands that have no run's configuration, and what is meant by it: DEVICE
// where it is empty. Throws Error(kConfig) for a DEVICE that there is not.
void add_device_option(CLI::App& app, std::string& device);
std::string device_option(const std::string& flag);

// Of this process, or of a GPU, where nothing is given back before the end; of one that several
// ranks compute on, each its share.
int64_t peak_bytes(Backend& backend);

}  // namespace borealis
