// Files that a command which makes data would replace.
#pragma once

#include <filesystem>
#include <vector>

namespace borealis {

// <prefix>.bin, .idx and .meta.json, as far as they exist.
std::vector<std::filesystem::path> existing_files_of(const std::filesystem::path& prefix);
// Those of <prefix>-00000 and so on, sorted.
std::vector<std::filesystem::path> existing_shards_of(const std::filesystem::path& prefix);
// Throws Error(kUsage) naming the first file and its size, if there is one.
void refuse_existing(const std::vector<std::filesystem::path>& files);

}  // namespace borealis
