// Reads all of a checkpoint, or of another model folder, and collects what is wrong with it, file
// by file.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/promised_tensors.h"

namespace borealis {

struct FolderFinding {
  std::filesystem::path file;  // the damaged one; of a folder where no single file is to blame
  std::string text;
};

struct FolderCheck {
  std::vector<FolderFinding> problems;
  // NaN and infinities, which are read as they stand, and files that are no part of a model and
  // have no checksum.
  std::vector<FolderFinding> warnings;

  bool sound() const { return problems.empty(); }
};

// What the architecture of a config.json promises; checkpoint/ itself knows no architectures.
using TensorPromise = std::function<std::vector<PromisedTensor>(const ModelConfig&)>;

// Structure, the promised tensors, values, checksums and the training state; the latter two where
// the folder has them.
FolderCheck check_model_folder(const std::filesystem::path& folder, const TensorPromise& promise);

// Verifies those files of `folder` that have a checksum and that `wanted` picks by their path in
// it. Throws Error(kData) naming the first that is damaged, or that the list of checksums lost.
// Without such a list nothing is verified.
void require_checksums(const std::filesystem::path& folder,
                       const std::function<bool(const std::string&)>& wanted);
// The same of the model's weights: its configuration may be edited.
void require_sound_weights(const std::filesystem::path& folder);

}  // namespace borealis
