// Hugging Face's cache of downloaded repositories, read only.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "config/run_config_loader.h"

namespace borealis {

// The folder of the files of a repository's `main`: the snapshot that refs/main names, or the only
// one there is. None where the repository is not in the cache; `tried` gets the places looked at.
// Throws Error(kFile) that lists the snapshots where there are several and nothing chooses.
std::optional<std::filesystem::path> hub_snapshot(const std::string& repository,
                                                  const Environment& environment,
                                                  std::vector<std::string>& tried);

}  // namespace borealis
