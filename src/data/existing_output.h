// Files that a command which makes data would replace.
#pragma once

#include <filesystem>
#include <vector>

namespace borealis {

// <prefix>.bin, .idx and .meta.json, as far as they exist.
std::vector<std::filesystem::path> existing_files_of(const std::filesystem::path& prefix);
// Those of <prefix>-00000 and so on, sorted.
std::vector<std::filesystem::path> existing_shards_of(const std::filesystem::path& prefix);
// Throws Error(kUsage) for a prefix whose files could not be found by it: one that ends in a
// folder's name or in .bin or .idx; Error(kFile) where a folder has the name of one of the files.
void require_usable_prefix(const std::filesystem::path& prefix);
// Throws Error(kUsage) naming the first file and its size, if there is one.
void refuse_existing(const std::vector<std::filesystem::path>& files);

}  // namespace borealis
