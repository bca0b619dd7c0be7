#include "base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace borealis {

std::string_view error_kind_name(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage:
      return "usage";
    case ErrorKind::kConfig:
      return "config";
    case ErrorKind::kFile:
      return "file";
    case ErrorKind::kData:
      return "data";
    case ErrorKind::kMemory:
      return "memory";
    case ErrorKind::kNumerics:
      return "numerics";
    case ErrorKind::kRanks:
      return "ranks";
    case ErrorKind::kDevice:
      return "device";
  }
  return "error";
}

int error_exit_code(ErrorKind kind) { return static_cast<int>(kind) + 1; }

Error::Error(ErrorKind kind, const std::string& problem, const std::string& remedy)
    : std::runtime_error(fmt::format("{}: {}{}{}", error_kind_name(kind), problem,
                                     remedy.empty() ? "" : "; ", remedy)),
      kind_(kind) {}

std::string_view Error::text() const {
  return std::string_view(what()).substr(error_kind_name(kind_).size() + 2);
}

namespace {

// What file_error's callers do to a file or folder without changing it.
bool only_reads(const std::string& action) {
  constexpr std::array<std::string_view, 6> kReading = {"open", "read", "examine",
                                                        "list", "map",  "open the folder"};
  return std::ranges::find(kReading, action) != kReading.end();
}

}  // namespace

Error file_error(const std::string& action, const std::string& path, int error_number) {
  std::string remedy;
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
      remedy = "free some space or point the output to another disk";
      break;
    case EACCES:
    case EPERM:
    case EROFS:
      remedy = only_reads(action)
                   ? "name one that this user may read, or change its permissions and those of "
                     "the folders above it"
                   : "choose a place that this user may write to, or change its permissions";
      break;
    case EISDIR:
      remedy = "name a file, not a folder";
      break;
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
    case ELOOP:
      remedy = "check the path";
      break;
    case EFBIG:
      remedy = "raise the limit of file sizes (ulimit -f), or use a disk that holds larger files";
      break;
    case EFAULT:
      remedy = "what is copied there was cut short meanwhile, or its disk or server failed";
      break;
    case EMFILE:
      remedy = "raise the limit of open files (ulimit -n)";
      break;
    case EIO:
      remedy = "the disk or the way to it fails: look at the system's log, or use another disk";
      break;
    default:
      break;
  }
  return Error(ErrorKind::kFile,
               fmt::format("cannot {} {}: {}", action, path, std::strerror(error_number)), remedy);
}

}  // namespace borealis
