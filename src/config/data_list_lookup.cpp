#include "config/data_list_lookup.h"

#include <filesystem>

namespace borealis {
namespace {

namespace fs = std::filesystem;

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

// True if `path` was found, as `path` itself or under `home`.
bool try_path(const fs::path& path, const std::string& home, DataListLookup& lookup) {
  std::vector<fs::path> places = {path};
  if (!home.empty() && path.is_relative()) places.push_back(fs::path(home) / path);
  for (const fs::path& place : places) {
    if (is_file(place)) {
      lookup.path = place.string();
      return true;
    }
    lookup.tried.push_back(place.string());
  }
  return false;
}

}  // namespace

DataListLookup find_data_list(const std::string& list, const std::string& home) {
  DataListLookup lookup;
  const fs::path path = fs::path(list).lexically_normal();  // a doubled slash is one slash
  if (try_path(path, home, lookup)) return lookup;
  const fs::path folder = path.parent_path().parent_path();
  if (folder.empty()) return lookup;
  lookup.without_machine = try_path(folder / path.filename(), home, lookup);
  return lookup;
}

}  // namespace borealis
