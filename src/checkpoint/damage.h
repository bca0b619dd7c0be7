#pragma once

#include <filesystem>
#include <string>

namespace borealis {

// Throws Error(kData) "<path>: <problem>": a checkpoint's file that nobody could have saved so.
[[noreturn]] void reject_checkpoint(const std::filesystem::path& path, const std::string& problem);

}  // namespace borealis
