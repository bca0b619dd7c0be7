#include "config/hub_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "config/settings.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

// "~/x" and "$NAME/x" or "${NAME}/x" in the value of a variable that names a folder.
std::string expand(std::string_view text, const Environment& environment) {
  std::string result;
  if (text == "~" || text.starts_with("~/")) {
    result = set_value(environment, "HOME").value_or("~");
    text.remove_prefix(1);
  }
  while (!text.empty()) {
    if (text.front() != '$') {
      result += text.front();
      text.remove_prefix(1);
      continue;
    }
    text.remove_prefix(1);
    const bool braces = text.starts_with('{');
    if (braces) text.remove_prefix(1);
    size_t length = 0;
    while (length < text.size() &&
           (std::isalnum(static_cast<unsigned char>(text[length])) || text[length] == '_')) {
      ++length;
    }
    result += set_value(environment, text.substr(0, length)).value_or("");
    text.remove_prefix(length);
    if (braces && text.starts_with('}')) text.remove_prefix(1);
  }
  return result;
}

std::optional<fs::path> hub_cache(const Environment& environment) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kRoots = {{
      {"HF_HUB_CACHE", ""},
      {"HUGGINGFACE_HUB_CACHE", ""},
      {"HF_HOME", "hub"},
      {"XDG_CACHE_HOME", "huggingface/hub"},
      {"HOME", ".cache/huggingface/hub"},
  }};
  for (const auto& [variable, below] : kRoots) {
    if (const auto value = set_value(environment, variable)) {
      const fs::path root = expand(*value, environment);
      return below.empty() ? root : root / below;
    }
  }
  return std::nullopt;
}

std::optional<std::string> referenced_commit(const fs::path& reference) {
  std::error_code ignored;
  if (!fs::is_regular_file(reference, ignored)) return std::nullopt;
  std::string commit = read_text_file(reference);
  commit.erase(0, commit.find_first_not_of(" \t\r\n"));
  commit.erase(commit.find_last_not_of(" \t\r\n") + 1);
  return commit;
}

std::vector<std::string> snapshots_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

std::optional<fs::path> hub_snapshot(const std::string& repository, const Environment& environment,
                                     std::vector<std::string>& tried) {
  const std::optional<fs::path> root = hub_cache(environment);
  if (!root) return std::nullopt;
  std::string name = "models--" + repository;
  if (const size_t slash = name.find('/'); slash != std::string::npos) name.replace(slash, 1, "--");
  const fs::path folder = *root / name;
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    tried.push_back(folder.string());
    return std::nullopt;
  }
  const fs::path reference = folder / "refs" / "main";
  if (const auto commit = referenced_commit(reference)) return folder / "snapshots" / *commit;
  tried.push_back(reference.string());
  const std::vector<std::string> snapshots = snapshots_in(folder / "snapshots");
  if (snapshots.empty()) return std::nullopt;
  if (snapshots.size() == 1) return folder / "snapshots" / snapshots.front();
  throw Error(ErrorKind::kFile,
              fmt::format("{} has the snapshots {} and no refs/main to choose one", folder.string(),
                          fmt::join(snapshots, ", ")),
              "name the folder of one of them, or write its name into refs/main");
}

}  // namespace borealis
