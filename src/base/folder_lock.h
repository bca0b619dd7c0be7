// One process at a time in a folder.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace borealis {

// Waits for, and holds, an advisory lock on an existing folder (flock). Where the file system has
// no such locks the object holds none: users must be right without it, it only saves double work.
// A folder's lock is known to the processes of one host: file systems of many have locks of files
// alone, of which hold_alone() takes one besides.
class FolderLock {
 public:
  // Throws Error(kFile) if the folder cannot be opened.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  // The same without waiting: nullptr if another process holds it, or has just removed it.
  static std::unique_ptr<FolderLock> try_hold(const std::filesystem::path& folder);
  // Whether another process holds it, on another host by hold_alone(): looked at without getting
  // into the way of one that begins to.
  static bool is_held(const std::filesystem::path& folder);
  // Makes the folder where there is none and holds it, and a file in it, which goes with the lock.
  // Throws Error(kFile) "another <holder> is writing to <folder>" where another process does. Warns
  // where the file system has no locks at all.
  static std::unique_ptr<FolderLock> hold_alone(const std::filesystem::path& folder,
                                                const std::string& holder,
                                                const std::string& remedy);
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  FolderLock() = default;
  // False where another process holds it, or has just removed it.
  bool hold_file(const std::filesystem::path& path);

  int descriptor_ = -1;
  bool folder_is_held_ = false;  // not where the file system has no such locks
  int file_ = -1;
  std::filesystem::path file_path_;
};

}  // namespace borealis
