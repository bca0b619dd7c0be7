// Names of .bin/.idx pairs on a command line.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace borealis {

// "data/mine", "data/mine.bin" and "data/mine.idx" are the pair data/mine.
std::filesystem::path dataset_prefix(const std::string& argument);
// Patterns stand for the pairs whose files match them, sorted; a pair is named once by a pattern.
// Throws Error(kFile) for a pattern without a match.
std::vector<std::filesystem::path> dataset_prefixes(const std::vector<std::string>& arguments);

}  // namespace borealis
