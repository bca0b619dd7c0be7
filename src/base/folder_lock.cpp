#include "base/folder_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"

namespace borealis {

namespace {

constexpr const char* kLockFile = ".borealis-lock";

int open_folder(const std::filesystem::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw file_error("open the folder", folder, errno);
  return descriptor;
}

// Who held it before may have removed it, and a third have made it anew.
bool is_still_there(int descriptor, const std::filesystem::path& path) {
  struct stat held {
  }, there{};
  return ::fstat(descriptor, &held) == 0 && ::stat(path.c_str(), &there) == 0 &&
         held.st_dev == there.st_dev && held.st_ino == there.st_ino;
}

}  // namespace

FolderLock::FolderLock(const std::filesystem::path& folder) : descriptor_(open_folder(folder)) {
  while (::flock(descriptor_, LOCK_EX) != 0 && errno == EINTR) {
  }
}

FolderLock::~FolderLock() {
  if (file_ >= 0) {
    ::unlink(file_path_.c_str());  // while it is held: nobody else's is removed
    ::close(file_);
  }
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool FolderLock::hold_file(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  const int fault = file >= 0 && ::flock(file, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
  if (file >= 0 && (fault == EWOULDBLOCK || !is_still_there(file, path))) {
    ::close(file);
    return false;
  }
  // Of a folder NFS has no locks, of a file most have; Lustre may have none at all.
  if (fault != 0 && !folder_is_held_) {
    log_warning(
        fmt::format("the file system of {} has no locks ({}): nothing keeps another from "
                    "writing to it at the same time",
                    path.parent_path().string(), std::strerror(fault)));
  }
  if (file < 0) return true;  // a full disk, say: the folder's lock is all there is
  file_ = file;
  file_path_ = path;
  return true;
}

std::unique_ptr<FolderLock> FolderLock::try_hold(const std::filesystem::path& folder) {
  std::unique_ptr<FolderLock> lock(new FolderLock);
  lock->descriptor_ = open_folder(folder);
  lock->folder_is_held_ = ::flock(lock->descriptor_, LOCK_EX | LOCK_NB) == 0;
  const bool held_elsewhere = !lock->folder_is_held_ && errno == EWOULDBLOCK;
  if (held_elsewhere || !is_still_there(lock->descriptor_, folder)) return nullptr;
  return lock;
}

bool FolderLock::is_held(const std::filesystem::path& folder) {
  FolderLock looking;
  looking.descriptor_ = open_folder(folder);
  if (::flock(looking.descriptor_, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK) return true;
  const int file = ::open((folder / kLockFile).c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  const bool held = ::flock(file, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(file);
  return held;
}

std::unique_ptr<FolderLock> FolderLock::hold_alone(const std::filesystem::path& folder,
                                                   const std::string& holder,
                                                   const std::string& remedy) {
  borealis::create_directories(folder);
  const std::filesystem::path file = folder / kLockFile;
  bool on_this_host = true;
  // Whoever only looks whether it is held, does so for less than that.
  for (int tries = 0; tries < 5; ++tries) {
    if (tries > 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    auto lock = try_hold(folder);
    on_this_host = !lock;
    if (lock && lock->hold_file(file)) return lock;
  }
  if (on_this_host) {
    throw Error(ErrorKind::kFile,
                fmt::format("another {} is writing to {}", holder, folder.string()), remedy);
  }
  throw Error(ErrorKind::kFile,
              fmt::format("another {} is writing to {}, on another host", holder, folder.string()),
              fmt::format("{}; if that host is gone, remove {}", remedy, file.string()));
}

}  // namespace borealis
