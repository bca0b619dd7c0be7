// Large files written and read once from front to back, past the page cache where the file system
// allows it (O_DIRECT): a checkpoint of many GiB neither pushes out what others have cached nor
// waits for the kernel's copy. A thread moves one block between memory and disk while the caller
// works on the next; what lies still in memory is written from there. Every failure is an
// Error(kFile) that names the path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/checksum.h"
#include "base/memory.h"
#include "base/pace.h"
#include "base/side_task.h"

namespace borealis {

// What direct writing asks for: of the file's places, of sizes and of addresses.
inline constexpr int64_t kDirectAlignment = 4096;

// The memory of one writer or reader at a time, on pages of its own.
class DirectBlocks {
 public:
  static constexpr size_t kBlockBytes = size_t{4} << 20;
  static constexpr size_t kCount = 2;
  // What a writer or reader with its thread takes, for memory plans.
  static constexpr int64_t kMemoryBytes = static_cast<int64_t>(kCount * kBlockBytes) + (256 << 10);

  DirectBlocks();
  std::byte* block(size_t i) const { return buffer_.data() + i * kBlockBytes; }

  // A writer rests after each of its blocks; the pace must outlive it. Null: it does not.
  void set_writers_pace(Pace* pace) { writers_pace_ = pace; }
  Pace* writers_pace() const { return writers_pace_; }

 private:
  PageBuffer buffer_;
  Pace* writers_pace_ = nullptr;
};

class DirectWriter {
 public:
  // Creates the file, or empties it.
  DirectWriter(const std::filesystem::path& path, DirectBlocks& blocks);
  ~DirectWriter();
  DirectWriter(const DirectWriter&) = delete;
  DirectWriter& operator=(const DirectWriter&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  // Of bytes that stay as they are until finish() or the writer's end: written from where they are,
  // uncopied, if they are many and their address is as far from a multiple of kDirectAlignment as
  // written_bytes() is.
  void write_in_place(std::span<const std::byte> bytes);
  uint64_t written_bytes() const { return written_; }
  // Flushes the file to the disk (not its folder) and returns the checksum of its content. The last
  // call; without it the file is not complete.
  std::string finish();

 private:
  void begin_writing(std::span<const std::byte> bytes);
  void flush_block();
  void write_at(const std::byte* data, size_t bytes, uint64_t at);

  std::filesystem::path path_;
  DirectBlocks& blocks_;
  int descriptor_ = -1;
  bool direct_ = true;
  size_t mine_ = 0;        // the block that is being filled; the other one is being written
  size_t filled_ = 0;      // of it
  uint64_t block_at_ = 0;  // its place in the file, in whole sectors
  uint64_t written_ = 0;   // handed in
  Checksum checksum_;
  SideTask writing_;
};

// Reads a whole file: calls take(bytes) with its parts in order, each of some KiB in whole f32, and
// returns the checksum of all. A file that grows or shrinks meanwhile is an Error(kFile).
std::string read_direct(const std::filesystem::path& path, DirectBlocks& blocks,
                        const std::function<void(std::span<const std::byte>)>& take);

}  // namespace borealis
