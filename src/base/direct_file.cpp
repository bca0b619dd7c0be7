#include "base/direct_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/rounding.h"

namespace borealis {
namespace {

constexpr auto kSectorBytes = static_cast<size_t>(kDirectAlignment);
// What is copied and added to the checksum at a time, while the first cache holds it: a Xeon's core
// took 140 ms a GiB for both, 124 for copying alone.
constexpr size_t kCheckedBytes = 16 << 10;
// Less is not worth a write of its own, and one of what the block holds so far.
constexpr size_t kLeastInPlace = 1 << 20;

size_t whole_sectors(size_t bytes) { return round_up(bytes, kSectorBytes); }

// A descriptor that reads and writes past the page cache, or one that does not where the file
// system has no such thing.
int open_direct(const std::filesystem::path& path, int flags, bool& direct) {
  refuse_endless_file(path, (flags & O_ACCMODE) == O_RDONLY);
  int descriptor = ::open(path.c_str(), flags | O_CLOEXEC | O_DIRECT, 0644);
  direct = descriptor >= 0;
  if (!direct && errno == EINVAL) descriptor = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
  return descriptor;
}

// False where the descriptor was not direct to begin with.
bool give_up_direct(int descriptor, bool& direct) {
  if (!direct) return false;
  direct = false;
  return ::fcntl(descriptor, F_SETFL, ::fcntl(descriptor, F_GETFL) & ~O_DIRECT) == 0;
}

class OpenFile {
 public:
  explicit OpenFile(int descriptor) : descriptor_(descriptor) {}
  ~OpenFile() { ::close(descriptor_); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

// Up to `bytes` from `at` on; less only at the end of the file.
size_t read_at(int descriptor, bool& direct, std::byte* out, size_t bytes, uint64_t at,
               const std::filesystem::path& path) {
  size_t got = 0;
  while (got < bytes) {
    // Behind a short read the place is no longer aligned.
    if (got % kSectorBytes != 0) give_up_direct(descriptor, direct);
    const ssize_t count = ::pread(descriptor, out + got, bytes - got, static_cast<off_t>(at + got));
    if (count == 0) break;
    if (count < 0) {
      if (errno == EINTR || (errno == EINVAL && give_up_direct(descriptor, direct))) continue;
      throw file_error("read", path, errno);
    }
    got += static_cast<size_t>(count);
  }
  return got;
}

}  // namespace

DirectBlocks::DirectBlocks() : buffer_(kCount * kBlockBytes, "buffers for saving and loading") {}

DirectWriter::DirectWriter(const std::filesystem::path& path, DirectBlocks& blocks)
    : path_(path), blocks_(blocks) {
  descriptor_ = open_direct(path, O_WRONLY | O_CREAT | O_TRUNC, direct_);
  if (descriptor_ < 0) throw file_error("create", path, errno);
}

DirectWriter::~DirectWriter() {
  try {
    writing_.settle();
  } catch (...) {  // whoever did not call finish() knows that the file is not complete
  }
  if (descriptor_ >= 0) ::close(descriptor_);
}

void DirectWriter::write(std::span<const std::byte> bytes) {
  written_ += bytes.size();
  while (!bytes.empty()) {
    const size_t count =
        std::min({bytes.size(), kCheckedBytes, DirectBlocks::kBlockBytes - filled_});
    std::memcpy(blocks_.block(mine_) + filled_, bytes.data(), count);
    checksum_.add(bytes.first(count));
    filled_ += count;
    bytes = bytes.subspan(count);
    if (filled_ == DirectBlocks::kBlockBytes) flush_block();
  }
}

void DirectWriter::write_in_place(std::span<const std::byte> bytes) {
  const auto beyond_sector = [](uint64_t place) { return place % kSectorBytes; };
  if (bytes.size() < kLeastInPlace ||
      beyond_sector(reinterpret_cast<uintptr_t>(bytes.data())) != beyond_sector(written_)) {
    write(bytes);
    return;
  }
  const size_t head = whole_sectors(written_) - written_;
  write(bytes.first(head));
  if (filled_ > 0) flush_block();
  bytes = bytes.subspan(head);
  while (bytes.size() >= kSectorBytes) {
    const std::span<const std::byte> part = bytes.first(
        std::min(DirectBlocks::kBlockBytes, bytes.size() / kSectorBytes * kSectorBytes));
    checksum_.add(part);
    written_ += part.size();
    begin_writing(part);
    bytes = bytes.subspan(part.size());
  }
  write(bytes);
}

void DirectWriter::flush_block() {
  begin_writing({blocks_.block(mine_), filled_});
  mine_ = 1 - mine_;
  filled_ = 0;
}

// Of whole sectors, which stay as they are until the next call returns.
void DirectWriter::begin_writing(std::span<const std::byte> bytes) {
  writing_.start([this, bytes, at = block_at_] { write_at(bytes.data(), bytes.size(), at); });
  block_at_ += bytes.size();
  if (blocks_.writers_pace() != nullptr) blocks_.writers_pace()->rest();
}

void DirectWriter::write_at(const std::byte* data, size_t bytes, uint64_t at) {
  size_t done = 0;
  while (done < bytes) {
    if (done % kSectorBytes != 0) give_up_direct(descriptor_, direct_);
    const ssize_t count =
        ::pwrite(descriptor_, data + done, bytes - done, static_cast<off_t>(at + done));
    if (count < 0) {
      if (errno == EINTR || (errno == EINVAL && give_up_direct(descriptor_, direct_))) continue;
      throw file_error("write", path_, errno);
    }
    done += static_cast<size_t>(count);
  }
}

std::string DirectWriter::finish() {
  writing_.settle();
  if (filled_ > 0) {
    // The last block is written as whole sectors, which direct writing asks for, and then cut.
    const size_t bytes = direct_ ? whole_sectors(filled_) : filled_;
    std::byte* block = blocks_.block(mine_);
    std::memset(block + filled_, 0, bytes - filled_);
    write_at(block, bytes, block_at_);
    if (bytes > filled_ && ::ftruncate(descriptor_, static_cast<off_t>(written_)) != 0) {
      throw file_error("truncate", path_, errno);
    }
  }
  if (::fsync(descriptor_) != 0) throw file_error("flush", path_, errno);
  if (::close(std::exchange(descriptor_, -1)) != 0) throw file_error("close", path_, errno);
  return checksum_.hex();
}

std::string read_direct(const std::filesystem::path& path, DirectBlocks& blocks,
                        const std::function<void(std::span<const std::byte>)>& take) {
  file_stamp(path);  // throws for what is no regular file: opening a pipe would wait
  bool direct = true;
  const int descriptor = open_direct(path, O_RDONLY, direct);
  if (descriptor < 0) throw file_error("open", path, errno);
  const OpenFile file(descriptor);
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) throw file_error("examine", path, errno);
  if (!S_ISREG(status.st_mode)) throw file_error("read", path, EISDIR);
  const auto size = static_cast<uint64_t>(status.st_size);

  const auto bytes_of = [size](uint64_t at) {
    return static_cast<size_t>(std::min<uint64_t>(DirectBlocks::kBlockBytes, size - at));
  };
  const auto fill = [&](std::byte* block, uint64_t at) {
    // Whole sectors are asked for; at the end of the file less comes.
    const size_t bytes = direct ? whole_sectors(bytes_of(at)) : bytes_of(at);
    if (read_at(descriptor, direct, block, bytes, at, path) != bytes_of(at)) {
      throw Error(ErrorKind::kFile, fmt::format("{} changed while it was read", path.string()),
                  "let no other program write it");
    }
  };
  Checksum checksum;
  SideTask reading;
  size_t mine = 0;
  if (size > 0) fill(blocks.block(mine), 0);
  for (uint64_t at = 0; at < size; at += DirectBlocks::kBlockBytes, mine = 1 - mine) {
    const uint64_t next = at + DirectBlocks::kBlockBytes;
    if (next < size) {
      reading.start([&, next, block = blocks.block(1 - mine)] { fill(block, next); });
    }
    for (std::span<const std::byte> bytes(blocks.block(mine), bytes_of(at)); !bytes.empty();) {
      const std::span<const std::byte> part = bytes.first(std::min(bytes.size(), kCheckedBytes));
      checksum.add(part);
      take(part);
      bytes = bytes.subspan(part.size());
    }
    reading.settle();
  }
  return checksum.hex();
}

}  // namespace borealis
