// What the system tells in files beneath /proc and /sys.
#pragma once

#include <filesystem>
#include <string>

namespace borealis {

// "" where there is no such file, or none that this user may read.
std::string text_or_empty(const std::filesystem::path& path);

}  // namespace borealis
