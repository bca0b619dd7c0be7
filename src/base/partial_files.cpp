#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <functional>
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
const std::string& host_name() {
  static const std::string kName = [] {
    utsname machine{};
    std::string name = ::uname(&machine) == 0 ? machine.nodename : "";
    if (name.empty()) return std::string("localhost");
    std::ranges::replace_if(
        name, [](unsigned char c) { return !std::isalnum(c) && c != '-' && c != '.'; }, '_');
    return name;
  }();
  return kName;
}

fs::path temporary_path(const fs::path& path, std::string_view kind) {
  return fmt::format("{}.{}.{}.{}", path.string(), kind, host_name(), ::getpid());
}

// The name that `name` was to get, if it is a temporary one of this kind of a process of this host
// that is no more.
std::optional<std::string> name_left_by_the_dead(std::string_view name, std::string_view kind) {
  if (name.find(kind) == std::string_view::npos) return std::nullopt;  // most, of many files
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

// Whether it is one of a process of another host, where nobody can be asked. A container has a name
// of its own each time.
bool is_of_another_host(const std::string& name) {
  const std::string infix = fmt::format(".{}.", kPartial);
  const size_t at = name.find(infix);
  if (at == std::string::npos || at == 0) return false;
  const std::string owner = name.substr(at + infix.size());
  const size_t dot = owner.rfind('.');
  if (dot == std::string::npos || dot == 0 || dot + 1 == owner.size()) return false;
  const bool is_process = std::ranges::all_of(owner.substr(dot + 1),
                                              [](unsigned char c) { return std::isdigit(c) != 0; });
  return is_process && owner.substr(0, dot) != host_name();
}

// Nothing of it has been written to for a day: no save takes as long.
bool is_abandoned(const fs::path& path) {
  constexpr auto kDay = std::chrono::hours(24);
  std::error_code code;
  const auto now = fs::file_time_type::clock::now();
  const auto is_old = [&](const fs::path& of) {
    const auto written = fs::last_write_time(of, code);
    return !code && now - written > kDay;
  };
  if (!is_old(path)) return false;
  if (!fs::is_directory(path, code)) return !code;
  fs::recursive_directory_iterator entry(path, code);
  for (; !code && entry != fs::recursive_directory_iterator(); entry.increment(code)) {
    if (!is_old(entry->path())) return false;
  }
  return !code;
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

namespace {

void for_each_entry(const fs::path& folder,
                    const std::function<void(const fs::path&, const std::string& name)>& visit) {
  std::error_code code;
  for (fs::directory_iterator entry(folder, code), end; !code && entry != end;
       entry.increment(code)) {
    visit(entry->path(), entry->path().filename().string());
  }
}

// Calls take(path, kind, the name that it was to get) for what dead processes left in `folder`.
void for_each_left(
    const fs::path& folder,
    const std::function<void(const fs::path&, std::string_view, std::string)>& take) {
  for_each_entry(folder, [&](const fs::path& path, const std::string& name) {
    for (const std::string_view kind : {kPartial, kAside}) {
      auto target = name_left_by_the_dead(name, kind);
      if (target && is_our_file_or_folder(path)) take(path, kind, *std::move(target));
    }
  });
}

int remove_all(const std::vector<fs::path>& paths) {
  int removed = 0;
  std::error_code code;
  for (const fs::path& path : paths) {
    if (fs::remove_all(path, code) > 0 && !code) ++removed;
  }
  return removed;
}

}  // namespace

int remove_stale_partials(const fs::path& folder) {
  std::vector<std::pair<fs::path, fs::path>> asides;
  std::vector<fs::path> stale;
  for_each_left(folder,
                [&](const fs::path& path, std::string_view kind, const std::string& target) {
                  if (kind == kPartial) {
                    stale.push_back(path);
                  } else {
                    asides.emplace_back(path, folder / target);
                  }
                });
  for (const auto& [aside, path] : asides) {
    if (!put_back(aside, path)) stale.push_back(aside);
  }
  for_each_entry(folder, [&](const fs::path& path, const std::string& name) {
    if (is_of_another_host(name) && is_our_file_or_folder(path) && is_abandoned(path)) {
      stale.push_back(path);
    }
  });
  return remove_all(stale);
}

void remove_stale_partials_of(const fs::path& path) {
  std::vector<fs::path> stale;
  const std::string name = path.filename().string();
  const fs::path folder = path.parent_path();
  for_each_left(folder.empty() ? "." : folder,
                [&](const fs::path& left, std::string_view kind, const std::string& target) {
                  if (kind == kPartial && target == name) stale.push_back(left);
                });
  remove_all(stale);
}

}  // namespace borealis
