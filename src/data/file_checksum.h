// Checksums of files that a later process goes on from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/checksum.h"

namespace borealis {

// Of the first `bytes` bytes. Throws Error(kFile) if the file is missing, unreadable or shorter.
Checksum checksum_of_start(const std::filesystem::path& path, int64_t bytes);
// Of the whole file; empty if there is none.
std::string file_checksum(const std::filesystem::path& path);

}  // namespace borealis
