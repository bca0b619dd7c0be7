#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/lost_pages.h"
#include "base/units.h"

namespace borealis {
namespace {

constexpr size_t kWriteBufferBytes = 1 << 20;

class Descriptor {
 public:
  Descriptor(const std::filesystem::path& path, int flags, const char* action)
      : value_((refuse_endless_file(path, (flags & O_ACCMODE) == O_RDONLY),
                ::open(path.c_str(), flags | O_CLOEXEC, 0644))) {
    if (value_ < 0) throw file_error(action, path, errno);
  }
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }
  int release() { return std::exchange(value_, -1); }

 private:
  int value_;
};

void write_all(int descriptor, const char* data, size_t size, const std::filesystem::path& path) {
  while (size > 0) {
    const ssize_t count = ::write(descriptor, data, size);
    if (count < 0) {
      if (errno == EINTR) continue;
      throw file_error("write", path, errno);
    }
    data += count;
    size -= static_cast<size_t>(count);
  }
}

size_t regular_file_size(int descriptor, const std::filesystem::path& path) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) throw file_error("examine", path, errno);
  if (S_ISDIR(status.st_mode)) throw file_error("read", path, EISDIR);
  return static_cast<size_t>(status.st_size);
}

std::filesystem::path parent_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : ".";
}

void rename_path(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) throw file_error("rename to", to, errno);
}

// Of a folder: to a name that nothing has but, maybe, an empty folder.
void rename_to_free_name(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::rename(from.c_str(), to.c_str()) == 0) return;
  if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR) {
    throw file_error("rename to", to, errno);
  }
  throw Error(ErrorKind::kFile,
              fmt::format("{} is there by now, and was not when this began", to.string()),
              "what is there stays; name another");
}

bool remove_tree(const std::filesystem::path& path) {
  std::error_code code;
  std::filesystem::remove_all(path, code);
  return !code;
}

// Puts the folder `fresh` in the place of the existing folder `path`, and what was there under
// `fresh`. Where the file system cannot exchange two names, `path` is missing for a moment.
void exchange_directories(const std::filesystem::path& fresh, const std::filesystem::path& path) {
  if (::renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) == 0) return;
  if (errno != EINVAL && errno != ENOSYS) throw file_error("replace", path, errno);
  const std::filesystem::path aside = aside_path_of(path);
  rename_path(path, aside);
  rename_path(fresh, path);
  rename_path(aside, fresh);
}

}  // namespace

FileStamp file_stamp(const std::filesystem::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) throw file_error("examine", path, errno);
  if (S_ISDIR(status.st_mode)) throw file_error("read", path, EISDIR);
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorKind::kFile, fmt::format("{} is not a regular file", path.string()),
                "save what it holds in a file first");
  }
  return {static_cast<int64_t>(status.st_size),
          static_cast<int64_t>(status.st_mtim.tv_sec) * 1'000'000'000 + status.st_mtim.tv_nsec};
}

void refuse_endless_file(const std::filesystem::path& path, bool to_read) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return;
  const std::string name = path.string();
  const bool device = S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode);
  if (to_read && device && name != "/dev/null" && name != "/dev/stdin") {
    throw Error(ErrorKind::kFile, fmt::format("{} is not a regular file", name),
                "save what it holds in a file first");
  }
  if (!S_ISFIFO(status.st_mode) || name.starts_with("/dev/") || name.starts_with("/proc/")) return;
  throw Error(ErrorKind::kFile, fmt::format("{} is a named pipe", name),
              "save what it holds in a file first");
}

std::string read_text_file(const std::filesystem::path& path) {
  const Descriptor file(path, O_RDONLY, "open");
  std::string text;
  const auto require_size = [&](size_t bytes) {
    if (bytes <= static_cast<size_t>(kMostTextBytes)) return;
    throw Error(ErrorKind::kFile,
                fmt::format("{} has more than {}, too much for a file of its kind", path.string(),
                            format_bytes(kMostTextBytes)),
                "name the file that is meant");
  };
  const size_t size = regular_file_size(file.get(), path);
  require_size(size);
  text.reserve(size);
  char block[1 << 16];
  for (;;) {
    const ssize_t count = ::read(file.get(), block, sizeof block);
    if (count == 0) break;
    if (count < 0) {
      if (errno == EINTR) continue;
      throw file_error("read", path, errno);
    }
    text.append(block, static_cast<size_t>(count));
    require_size(text.size());
  }
  return text;
}

void create_directories(const std::filesystem::path& path) {
  std::error_code code;
  std::filesystem::create_directories(path, code);
  if (!code) return;
  std::error_code unknown;
  const std::filesystem::path target = std::filesystem::read_symlink(path, unknown);
  if (!unknown && !std::filesystem::exists(path, unknown)) {
    throw Error(
        ErrorKind::kFile,
        fmt::format("{} is a link to {}, which does not exist", path.string(), target.string()),
        "make that folder, or remove the link");
  }
  throw file_error("create the folder", path, code.value());
}

bool create_new_directory(const std::filesystem::path& path) {
  if (::mkdir(path.c_str(), 0755) == 0) return true;
  if (errno == EEXIST) return false;
  throw file_error("create the folder", path, errno);
}

void flush_directory(const std::filesystem::path& path) {
  const Descriptor folder(path, O_RDONLY | O_DIRECTORY, "open the folder");
  if (::fsync(folder.get()) != 0) throw file_error("flush the folder", path, errno);
}

void flush_file(const std::filesystem::path& path) {
  const Descriptor file(path, O_RDONLY, "open");
  if (::fsync(file.get()) != 0) throw file_error("flush", path, errno);
}

void append_text_file(const std::filesystem::path& path, std::string_view text) {
  const Descriptor file(path, O_WRONLY | O_CREAT | O_APPEND, "append to");
  struct stat before {};
  const bool is_known = ::fstat(file.get(), &before) == 0;
  try {
    write_all(file.get(), text.data(), text.size(), path);
  } catch (const Error&) {
    // A full disk has taken a part of it; who reads the file knows whole lines.
    if (is_known) (void)!::ftruncate(file.get(), before.st_size);
    throw;
  }
}

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  const Descriptor file(path, O_RDONLY, "open");
  size_ = regular_file_size(file.get(), path);
  if (size_ == 0) return;
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.get(), 0);
  if (address == MAP_FAILED && errno == ENOMEM) {
    throw Error(
        ErrorKind::kMemory,
        fmt::format("cannot map {}: this process has as many mappings as it may", path.string()),
        "merge data sets (`borealis data merge`), or raise vm.max_map_count (sysctl) or the "
        "address space (ulimit -v)");
  }
  if (address == MAP_FAILED) throw file_error("map", path, errno);
  data_ = static_cast<const std::byte*>(address);
  note_mapping(bytes(), path.string());
}

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  forget_mapping(data_);
  ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void MappedFile::advise(Access access) const {
  if (data_ == nullptr) return;
  ::madvise(const_cast<std::byte*>(data_), size_,
            access == Access::kRandom ? MADV_RANDOM : MADV_SEQUENTIAL);
}

void MappedFile::will_need(size_t first_byte, size_t byte_count) const {
  if (first_byte >= size_ || byte_count == 0) return;
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t begin = first_byte / page * page;
  const size_t end = first_byte + std::min(byte_count, size_ - first_byte);
  ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_WILLNEED);
}

void MappedFile::forget(size_t first_byte, size_t byte_count) const {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t begin = std::min(first_byte, size_) / page * page;
  const size_t end = std::min(first_byte + byte_count, size_) / page * page;  // the rest comes next
  if (begin < end) ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

AppendFile::AppendFile(const std::filesystem::path& path, uint64_t keep_bytes)
    : path_(path), size_(keep_bytes) {
  Descriptor file(path, O_WRONLY | O_CREAT | O_APPEND, "create");
  if (regular_file_size(file.get(), path) < keep_bytes) {
    throw Error(ErrorKind::kFile, fmt::format("{} is shorter than the {} bytes that were written",
                                              path.string(), keep_bytes));
  }
  if (::ftruncate(file.get(), static_cast<off_t>(keep_bytes)) != 0) {
    throw file_error("truncate", path, errno);
  }
  buffer_.reserve(kWriteBufferBytes);
  descriptor_ = file.release();
}

AppendFile::~AppendFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void AppendFile::write(std::span<const std::byte> bytes) {
  write(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

void AppendFile::write(std::string_view text) {
  size_ += text.size();
  if (buffer_.size() + text.size() > kWriteBufferBytes) flush();
  if (text.size() >= kWriteBufferBytes) {
    write_all(descriptor_, text.data(), text.size(), path_);
  } else {
    buffer_.append(text);
  }
}

void AppendFile::flush() {
  write_all(descriptor_, buffer_.data(), buffer_.size(), path_);
  buffer_.clear();
}

void AppendFile::sync() {
  flush();
  if (::fsync(descriptor_) != 0) throw file_error("flush", path_, errno);
}

void AppendFile::rename_to(const std::filesystem::path& path) {
  sync();
  if (::rename(path_.c_str(), path.c_str()) != 0) throw file_error("write", path, errno);
  ::close(std::exchange(descriptor_, -1));
  flush_directory(parent_of(path));
}

AtomicFile::Partial::~Partial() {
  if (!renamed) ::unlink(path.c_str());
}

AtomicFile::AtomicFile(const std::filesystem::path& path, Stale stale)
    : path_(path), partial_{partial_path_of(path)}, file_(partial_.path, 0) {
  if (stale == Stale::kRemove) remove_stale_partials_of(path_);
}

void AtomicFile::commit() {
  file_.rename_to(path_);
  partial_.renamed = true;
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

void write_files_atomically(std::span<const FileText> files) {
  std::vector<std::unique_ptr<AtomicFile>> written;
  for (const FileText& file : files) {
    written.push_back(std::make_unique<AtomicFile>(file.path));
    written.back()->write(file.text);
    written.back()->content().sync();
  }
  for (const std::unique_ptr<AtomicFile>& file : written) file->commit();
}

void copy_file_atomically(const std::filesystem::path& from, const std::filesystem::path& to) {
  const MappedFile source(from);
  AtomicFile target(to);
  target.write(source.bytes());
  target.commit();
}

AtomicDirectory::AtomicDirectory(const std::filesystem::path& path, Existing existing)
    : path_(path.has_filename() ? path : path.parent_path()),  // "dir/" is "dir"
      partial_path_(partial_path_of(path_)),
      existing_(existing) {
  borealis::create_directories(parent_of(path_));
  remove_tree(partial_path_);  // of a dead process that had our id
  remove_stale_partials_of(path_);
  if (::mkdir(partial_path_.c_str(), 0755) != 0) {
    throw file_error("create the folder", partial_path_, errno);
  }
}

AtomicDirectory::~AtomicDirectory() {
  if (!committed_) remove_tree(partial_path_);
}

void AtomicDirectory::commit() {
  flush_directory(partial_path_);
  const bool replaces = existing_ == Existing::kReplace && std::filesystem::exists(path_);
  if (existing_ == Existing::kRefuse) {
    rename_to_free_name(partial_path_, path_);
  } else if (replaces) {
    exchange_directories(partial_path_, path_);
  } else {
    rename_path(partial_path_, path_);
  }
  committed_ = true;
  flush_directory(parent_of(path_));
  if (replaces && !remove_tree(partial_path_)) {
    throw Error(ErrorKind::kFile,
                fmt::format("cannot remove {}, the earlier content of {}", partial_path_.string(),
                            path_.string()),
                "remove it by hand; the new content is in place");
  }
}

}  // namespace borealis
