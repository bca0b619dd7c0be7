// A file of lines that another process appends to, or replaces.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace borealis {

// Reads what came since it was last asked, and holds neither the file nor a lock between two calls.
// A file that is not there is an empty one; so is one that may not be read, or is no regular file.
class GrowingFile {
 public:
  explicit GrowingFile(std::filesystem::path path) : path_(std::move(path)) {}

  // Whether what was read is of a file that has been replaced, removed or cut since: the next line
  // is then the first of the new one. To be asked before each read().
  bool begins_again();
  // Calls `take` with each whole line that came, without its newline; a half one waits for the
  // rest, a line of more than kMostLineBytes comes in parts. Reads about `most_bytes`; true: there
  // is more.
  bool read(const std::function<void(std::string_view line)>& take, size_t most_bytes);

  const std::filesystem::path& path() const { return path_; }

  // A file system may give a new file the number of one that was removed: its beginning tells.
  static constexpr size_t kBeginningBytes = 512;
  static constexpr size_t kMostLineBytes = size_t{1} << 20;

 private:
  bool begins_alike() const;

  std::filesystem::path path_;
  dev_t device_ = 0;
  ino_t number_ = 0;
  int64_t read_bytes_ = 0;
  std::string beginning_;  // of what was read
  std::string half_line_;
};

}  // namespace borealis
