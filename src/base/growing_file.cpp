#include "base/growing_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace borealis {
namespace {

constexpr size_t kBlockBytes = size_t{256} << 10;

class ReadableFile {
 public:
  explicit ReadableFile(const std::filesystem::path& path)
      // Not to wait for the other end of what is a pipe.
      : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (descriptor_ < 0 || ::fstat(descriptor_, &status_) != 0) return;
    readable_ = S_ISREG(status_.st_mode);
  }
  ~ReadableFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  ReadableFile(const ReadableFile&) = delete;
  ReadableFile& operator=(const ReadableFile&) = delete;

  bool readable() const { return readable_; }
  const struct stat& status() const { return status_; }
  // Bytes read; 0 at the end and where reading fails.
  size_t read(char* to, size_t bytes, int64_t at) const {
    ssize_t got = 0;
    while ((got = ::pread(descriptor_, to, bytes, at)) < 0 && errno == EINTR) {
    }
    return got > 0 ? static_cast<size_t>(got) : 0;
  }

 private:
  int descriptor_;
  bool readable_ = false;
  struct stat status_ {};
};

}  // namespace

bool GrowingFile::begins_again() {
  struct stat status {};
  const bool there = ::stat(path_.c_str(), &status) == 0 && S_ISREG(status.st_mode);
  const bool same = there && status.st_dev == device_ && status.st_ino == number_ &&
                    status.st_size >= read_bytes_;
  const bool read_before = read_bytes_ > 0;
  if (same && begins_alike()) return false;
  device_ = there ? status.st_dev : 0;
  number_ = there ? status.st_ino : 0;
  read_bytes_ = 0;
  half_line_.clear();
  beginning_.clear();
  return read_before;
}

bool GrowingFile::begins_alike() const {
  if (beginning_.empty()) return true;
  const ReadableFile file(path_);
  if (!file.readable()) return true;
  std::string now(beginning_.size(), '\0');
  now.resize(file.read(now.data(), now.size(), 0));
  return now == beginning_;
}

bool GrowingFile::read(const std::function<void(std::string_view)>& take, size_t most_bytes) {
  const ReadableFile file(path_);
  // Replaced since begins_again(), which finds it next time.
  if (!file.readable() || file.status().st_dev != device_ || file.status().st_ino != number_) {
    return false;
  }
  std::string block;
  for (size_t total = 0; total < most_bytes;) {
    block.resize(kBlockBytes);
    block.resize(file.read(block.data(), block.size(), read_bytes_));
    if (block.empty()) return false;
    if (read_bytes_ == 0) beginning_ = block.substr(0, kBeginningBytes);
    read_bytes_ += static_cast<int64_t>(block.size());
    total += block.size();
    std::string_view rest = block;
    for (size_t end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
      if (half_line_.empty()) {
        take(rest.substr(0, end));
      } else {
        half_line_ += rest.substr(0, end);
        take(half_line_);
        half_line_.clear();
      }
      rest.remove_prefix(end + 1);
    }
    half_line_ += rest;
    if (half_line_.size() > kMostLineBytes) {
      take(half_line_);
      half_line_.clear();
    }
  }
  return true;
}

}  // namespace borealis
