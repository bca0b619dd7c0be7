#include "config/data_list_lookup.h"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>

namespace borealis {
namespace {

namespace fs = std::filesystem;

// Empty where there is nothing.
std::string why_no_file(const fs::path& path, const fs::file_status& status,
                        const std::error_code& failure) {
  if (fs::is_directory(status)) return path.string() + " is a folder";
  if (fs::exists(status)) return path.string() + " is not a regular file";
  if (failure == std::errc::permission_denied) {
    return fmt::format("{} is in a folder that this user may not look into", path.string());
  }
  return "";
}

// True if `path` was found, as `path` itself or under `home`.
bool try_path(const fs::path& path, const std::string& home, DataListLookup& lookup) {
  std::vector<fs::path> places = {path};
  if (!home.empty() && path.is_relative()) places.push_back(fs::path(home) / path);
  for (const fs::path& place : places) {
    std::error_code failure;
    const fs::file_status status = fs::status(place, failure);
    if (fs::is_regular_file(status)) {
      lookup.path = place.string();
      return true;
    }
    lookup.tried.push_back(place.string());
    if (lookup.unusable.empty()) lookup.unusable = why_no_file(place, status, failure);
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
