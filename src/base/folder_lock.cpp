#include "base/folder_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "base/error.h"
#include "base/file.h"

namespace borealis {

namespace {

int open_folder(const std::filesystem::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw file_error("open the folder", folder, errno);
  return descriptor;
}

// Who held it before may have removed it, and a third have made it anew.
bool is_still_there(int descriptor, const std::filesystem::path& folder) {
  struct stat held {
  }, there{};
  return ::fstat(descriptor, &held) == 0 && ::stat(folder.c_str(), &there) == 0 &&
         held.st_dev == there.st_dev && held.st_ino == there.st_ino;
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
  if (held_elsewhere || !is_still_there(lock->descriptor_, folder)) return nullptr;
  return lock;
}

bool FolderLock::is_held(const std::filesystem::path& folder) {
  FolderLock looking;
  looking.descriptor_ = open_folder(folder);
  return ::flock(looking.descriptor_, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

std::unique_ptr<FolderLock> FolderLock::hold_alone(const std::filesystem::path& folder,
                                                   const std::string& holder,
                                                   const std::string& remedy) {
  borealis::create_directories(folder);
  // Whoever only looks whether it is held, does so for less than that.
  for (int tries = 0; tries < 5; ++tries) {
    if (tries > 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    if (auto lock = try_hold(folder)) return lock;
  }
  throw Error(ErrorKind::kFile, fmt::format("another {} is writing to {}", holder, folder.string()),
              remedy);
}

}  // namespace borealis
