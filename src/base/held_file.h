#pragma once

#include <filesystem>
#include <utility>

namespace borealis {

// A file that is open for reading, and so stays what it is where its name is removed or given to
// another file.
class HeldFile {
 public:
  // Throws Error(kFile) for what is missing, unreadable or no regular file.
  explicit HeldFile(const std::filesystem::path& path);
  ~HeldFile();
  HeldFile(HeldFile&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  HeldFile& operator=(HeldFile&&) = delete;

  // A name of it while this lives, in this process.
  std::filesystem::path path() const;

 private:
  int descriptor_;
};

}  // namespace borealis
