#include "base/folder_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/error.h"
#include "base/file.h"

namespace borealis {

namespace {

int open_folder(const std::filesystem::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw file_error("open the folder", folder, errno);
  return descriptor;
}

}  // namespace

FolderLock::FolderLock(const std::filesystem::path& folder) : descriptor_(open_folder(folder)) {
  while (::flock(descriptor_, LOCK_EX) != 0 && errno == EINTR) {
  }
}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::unique_ptr<FolderLock> FolderLock::try_hold(const std::filesystem::path& folder) {
  std::unique_ptr<FolderLock> lock(new FolderLock);
  lock->descriptor_ = open_folder(folder);
  const bool held_elsewhere =
      ::flock(lock->descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  return held_elsewhere ? nullptr : std::move(lock);
}

std::unique_ptr<FolderLock> FolderLock::hold_alone(const std::filesystem::path& folder,
                                                   const std::string& holder,
                                                   const std::string& remedy) {
  borealis::create_directories(folder);
  if (auto lock = try_hold(folder)) return lock;
  throw Error(ErrorKind::kFile, fmt::format("another {} is writing to {}", holder, folder.string()),
              remedy);
}

}  // namespace borealis
