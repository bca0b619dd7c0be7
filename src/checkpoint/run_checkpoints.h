// The checkpoints of a run, in the reference trainer's layout:
//   <checkpoint_dir>/global_step<N>/               a model folder (model_folder.h)
//   <checkpoint_dir>/latest                        "global_step<N>"
//   <checkpoint_dir>/latest_checkpointed_iteration.txt   "<N>"
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "checkpoint/model_folder.h"
#include "checkpoint/named_tensor.h"
#include "config/run_config.h"

namespace borealis {

// Saves the model as of `step` and, once it is on the disk, points the two text files at it; so
// `latest` always names a complete checkpoint. Returns the step's folder. Throws Error(kFile).
std::filesystem::path save_checkpoint(const std::filesystem::path& checkpoint_dir, int64_t step,
                                      const ModelConfig& model,
                                      std::span<const NamedTensor> tensors,
                                      const SaveOptions& options);

// The model folder meant by `given`: itself if it holds a config.json, else the one that its
// `latest` names. Throws Error(kFile) if it is neither, Error(kData) if `latest` is not the name of
// a model folder.
std::filesystem::path find_model_folder(const std::filesystem::path& given);

}  // namespace borealis
