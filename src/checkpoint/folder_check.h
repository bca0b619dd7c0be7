// Reads all of a model folder and collects what is wrong with it, file by file.
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
  std::vector<FolderFinding> warnings;  // NaN and infinities: read as they stand

  bool sound() const { return problems.empty(); }
};

// What the architecture of a config.json promises; checkpoint/ itself knows no architectures.
using TensorPromise = std::function<std::vector<PromisedTensor>(const ModelConfig&)>;

FolderCheck check_model_folder(const std::filesystem::path& folder, const TensorPromise& promise);

}  // namespace borealis
