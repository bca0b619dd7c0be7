#include "data/existing_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "base/units.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

constexpr std::array kSuffixes = {".bin", ".idx", ".meta.json"};

bool is_there(const fs::path& path) {
  std::error_code unknown;
  return fs::exists(path, unknown);
}

// "-00012.idx": five digits or more, as the writer of shards names them.
bool is_shard_suffix(std::string_view text) {
  if (!text.starts_with('-')) return false;
  const size_t digits = std::min(text.find_first_not_of("0123456789", 1), text.size()) - 1;
  return digits >= 5 && std::ranges::find(kSuffixes, text.substr(1 + digits)) != kSuffixes.end();
}

}  // namespace

std::vector<fs::path> existing_files_of(const fs::path& prefix) {
  std::vector<fs::path> files;
  for (const char* suffix : kSuffixes) {
    if (const fs::path path = prefix.string() + suffix; is_there(path)) files.push_back(path);
  }
  return files;
}

std::vector<fs::path> existing_shards_of(const fs::path& prefix) {
  const std::string name = prefix.filename().string();
  std::vector<fs::path> files;
  std::error_code unknown;
  const fs::path folder = prefix.has_parent_path() ? prefix.parent_path() : ".";
  for (const auto& entry : fs::directory_iterator(folder, unknown)) {
    const std::string found = entry.path().filename().string();
    if (found.starts_with(name) && is_shard_suffix(std::string_view(found).substr(name.size()))) {
      files.push_back(entry.path());
    }
  }
  std::ranges::sort(files);
  return files;
}

void require_usable_prefix(const fs::path& prefix) {
  const std::string name = prefix.filename().string();
  if (name.empty() || name == "." || name == ".." || name.ends_with(".bin") ||
      name.ends_with(".idx")) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--output-prefix {} is no name to which .bin and .idx can be added",
                            prefix.string()),
                "give a folder and the beginning of a file's name, such as data/mine");
  }
  for (const char* suffix : kSuffixes) {
    const fs::path path = prefix.string() + suffix;
    std::error_code unknown;
    if (!fs::is_directory(path, unknown)) continue;
    throw Error(ErrorKind::kFile, fmt::format("{} is a folder", path.string()),
                "move it away, or choose another --output-prefix");
  }
}

void refuse_existing(const std::vector<fs::path>& files) {
  if (files.empty()) return;
  const fs::path& first = files.front();
  std::error_code unknown;
  const bool is_file = fs::is_regular_file(first, unknown);
  throw Error(
      ErrorKind::kUsage,
      fmt::format("{} exists{}{}", first.string(),
                  is_file ? fmt::format(" ({})", format_bytes(file_stamp(first).bytes)) : "",
                  files.size() > 1 ? fmt::format(", with {} more", files.size() - 1) : ""),
      "choose another --output-prefix, or give --overwrite to replace what is there");
}

}  // namespace borealis
