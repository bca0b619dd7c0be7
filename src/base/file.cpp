#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/error.h"

namespace borealis {
namespace {

constexpr size_t kWriteBufferBytes = 1 << 20;

class Descriptor {
 public:
  Descriptor(const std::filesystem::path& path, int flags, const char* action)
      : value_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    if (value_ < 0) throw file_error(action, path, errno);
  }
  ~Descriptor() { ::close(value_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }

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

}  // namespace

std::string read_text_file(const std::filesystem::path& path) {
  const Descriptor file(path, O_RDONLY, "open");
  std::string text;
  text.reserve(regular_file_size(file.get(), path));
  char block[1 << 16];
  for (;;) {
    const ssize_t count = ::read(file.get(), block, sizeof block);
    if (count == 0) return text;
    if (count < 0) {
      if (errno == EINTR) continue;
      throw file_error("read", path, errno);
    }
    text.append(block, static_cast<size_t>(count));
  }
}

void create_directories(const std::filesystem::path& path) {
  std::error_code code;
  std::filesystem::create_directories(path, code);
  if (code) throw file_error("create the folder", path, code.value());
}

void append_text_file(const std::filesystem::path& path, std::string_view text) {
  const Descriptor file(path, O_WRONLY | O_CREAT | O_APPEND, "open");
  write_all(file.get(), text.data(), text.size(), path);
}

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  const Descriptor file(path, O_RDONLY, "open");
  size_ = regular_file_size(file.get(), path);
  if (size_ == 0) return;
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.get(), 0);
  if (address == MAP_FAILED) throw file_error("map", path, errno);
  data_ = static_cast<const std::byte*>(address);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
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

AtomicFile::AtomicFile(const std::filesystem::path& path)
    : path_(path), partial_path_(fmt::format("{}.partial.{}", path.string(), ::getpid())) {
  descriptor_ = ::open(partial_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) throw file_error("create", partial_path_, errno);
  buffer_.reserve(kWriteBufferBytes);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(partial_path_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  write(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

void AtomicFile::write(std::string_view text) {
  written_ += text.size();
  if (buffer_.size() + text.size() > kWriteBufferBytes) flush_buffer();
  if (text.size() >= kWriteBufferBytes) {
    write_all(descriptor_, text.data(), text.size(), partial_path_);
  } else {
    buffer_.append(text);
  }
}

void AtomicFile::flush_buffer() {
  write_all(descriptor_, buffer_.data(), buffer_.size(), partial_path_);
  buffer_.clear();
}

void AtomicFile::commit() {
  flush_buffer();
  if (::fsync(descriptor_) != 0) throw file_error("flush", partial_path_, errno);
  if (::rename(partial_path_.c_str(), path_.c_str()) != 0) throw file_error("write", path_, errno);
  ::close(std::exchange(descriptor_, -1));
  // The rename itself must survive a power cut too.
  const std::filesystem::path parent = path_.has_parent_path() ? path_.parent_path() : ".";
  const Descriptor folder(parent, O_RDONLY | O_DIRECTORY, "open the folder");
  if (::fsync(folder.get()) != 0) throw file_error("flush the folder", parent, errno);
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace borealis
