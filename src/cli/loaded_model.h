// The weights of a model folder in memory, without gradients.
#pragma once

#include <filesystem>

#include "config/run_config.h"
#include "tensor/arena.h"
#include "tensor/parameter_buffers.h"

namespace borealis {

struct LoadedModel {
  ModelConfig config;
  ParameterTable table;
  Arena arena;
  ParameterBuffers parameters;

  // Converts what is stored to `dtype`, in the device's memory. Throws Error(kFile), Error(kData)
  // naming what is wrong with the folder, of a checkpoint also weights that are not those that were
  // saved.
  LoadedModel(const std::filesystem::path& folder, DType dtype, Device& device = host_device());
  LoadedModel(const LoadedModel&) = delete;
  LoadedModel& operator=(const LoadedModel&) = delete;
};

}  // namespace borealis
