// One process at a time in a folder.
#pragma once

#include <filesystem>

namespace borealis {

// Waits for, and holds, an advisory lock on an existing folder (flock). Where the file system has
// no such locks the object holds none: users must be right without it, it only saves double work.
class FolderLock {
 public:
  // Throws Error(kFile) if the folder cannot be opened.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace borealis
