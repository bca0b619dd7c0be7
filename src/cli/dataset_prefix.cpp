#include "cli/dataset_prefix.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/file_pattern.h"

namespace borealis {
namespace {

bool is_part_of_pair(const std::filesystem::path& path) {
  return path.extension() == ".bin" || path.extension() == ".idx";
}

}  // namespace

std::filesystem::path dataset_prefix(const std::string& argument) {
  const std::filesystem::path path(argument);
  return is_part_of_pair(path) ? path.parent_path() / path.stem() : path;
}

std::vector<std::filesystem::path> dataset_prefixes(const std::vector<std::string>& arguments) {
  std::vector<std::filesystem::path> prefixes;
  for (const std::string& argument : arguments) {
    const auto files = matching_files(argument);
    if (files == std::vector<std::filesystem::path>{argument}) {
      prefixes.push_back(dataset_prefix(argument));
      continue;
    }
    const size_t before = prefixes.size();
    for (const std::filesystem::path& file : files) {
      const std::filesystem::path prefix = dataset_prefix(file.string());
      const bool known = before < prefixes.size() && prefixes.back() == prefix;
      if (is_part_of_pair(file) && !known) prefixes.push_back(prefix);
    }
    if (prefixes.size() == before) {
      throw Error(ErrorKind::kFile, fmt::format("no .bin or .idx file matches '{}'", argument),
                  "check the folder and the spelling");
    }
  }
  return prefixes;
}

}  // namespace borealis
