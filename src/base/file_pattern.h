// Files by the patterns of a shell.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace borealis {

// The files that `pattern` stands for (*, ? and [...] within one folder level), sorted by their
// bytes. What exists under this very name is itself, patterns or not. Throws Error(kFile) for a
// pattern without a match; a name without any of these characters comes back as it is, existing or
// not.
std::vector<std::filesystem::path> matching_files(const std::string& pattern);

}  // namespace borealis
