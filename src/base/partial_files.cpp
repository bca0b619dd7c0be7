#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPartial = "partial";
constexpr std::string_view kAside = "old";

// This machine's name as a part of a file name.
std::string host_name() {
  utsname machine{};
  std::string name = ::uname(&machine) == 0 ? machine.nodename : "";
  if (name.empty()) return "localhost";
  std::ranges::replace_if(
      name, [](unsigned char c) { return !std::isalnum(c) && c != '-' && c != '.'; }, '_');
  return name;
}

fs::path temporary_path(const fs::path& path, std::string_view kind) {
  return fmt::format("{}.{}.{}.{}", path.string(), kind, host_name(), ::getpid());
}

// The name that `name` was to get, if it is a temporary one of this kind of a process of this host
// that is no more.
std::optional<std::string> name_left_by_the_dead(std::string_view name, std::string_view kind) {
  const std::string infix = fmt::format(".{}.{}.", kind, host_name());
  const size_t at = name.rfind(infix);
  if (at == std::string_view::npos || at == 0) return std::nullopt;
  const std::string_view digits = name.substr(at + infix.size());
  pid_t process = 0;
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), process);
  if (fault != std::errc() || end != digits.data() + digits.size() || process <= 0) {
    return std::nullopt;
  }
  if (::kill(process, 0) == 0 || errno != ESRCH) return std::nullopt;  // EPERM: another user's
  return std::string(name.substr(0, at));
}

bool is_our_file_or_folder(const fs::path& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 && status.st_uid == ::geteuid() &&
         (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode));
}

// Content that was set aside for its successor, which never came, gets its name back.
bool put_back(const fs::path& aside, const fs::path& path) {
  return !fs::exists(fs::symlink_status(path)) && ::rename(aside.c_str(), path.c_str()) == 0;
}

}  // namespace

fs::path partial_path_of(const fs::path& path) { return temporary_path(path, kPartial); }
fs::path aside_path_of(const fs::path& path) { return temporary_path(path, kAside); }

int remove_stale_partials(const fs::path& folder) {
  std::vector<std::pair<fs::path, fs::path>> asides;
  std::vector<fs::path> stale;
  std::error_code code;
  for (fs::directory_iterator entry(folder, code), end; !code && entry != end;
       entry.increment(code)) {
    const std::string name = entry->path().filename().string();
    if (!is_our_file_or_folder(entry->path())) continue;
    if (name_left_by_the_dead(name, kPartial)) stale.push_back(entry->path());
    if (const auto target = name_left_by_the_dead(name, kAside)) {
      asides.emplace_back(entry->path(), folder / *target);
    }
  }
  for (const auto& [aside, path] : asides) {
    if (!put_back(aside, path)) stale.push_back(aside);
  }
  int removed = 0;
  for (const fs::path& path : stale) {
    if (fs::remove_all(path, code) > 0 && !code) ++removed;
  }
  return removed;
}

}  // namespace borealis
