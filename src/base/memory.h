// Memory of this process and this machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace borealis {

// Zeroed pages straight from the kernel, huge where it grants them; touched by all threads when
// made, because first touch is the dear part on virtual machines, and given back only at the end.
class PageBuffer {
 public:
  PageBuffer() = default;
  // Throws Error(kMemory) naming `name` if the kernel refuses.
  PageBuffer(size_t bytes, const std::string& name);
  ~PageBuffer();
  PageBuffer(PageBuffer&& other) noexcept;
  PageBuffer& operator=(PageBuffer&& other) noexcept;
  PageBuffer(const PageBuffer&) = delete;
  PageBuffer& operator=(const PageBuffer&) = delete;

  std::byte* data() const { return data_; }
  size_t size_bytes() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  size_t mapped_ = 0;
};

int64_t resident_bytes();       // VmRSS of this process
int64_t peak_resident_bytes();  // VmHWM of this process
int64_t available_bytes();      // of the machine, without swapping: MemAvailable

// What a run may use: the smallest of the machine's available memory, the cgroup's limit (v1 or v2,
// this group or any above it), what `ulimit -v` and `ulimit -d` leave, and the user's MEMORY_LIMIT.
inline constexpr const char* kAddressSpaceLimit = "ulimit -v";
inline constexpr const char* kDataLimit = "ulimit -d";
inline constexpr const char* kGivenLimit = "MEMORY_LIMIT (--memory-limit)";
struct MemoryLimit {
  int64_t bytes = 0;
  std::string source;  // "free memory", "the cgroup's limit", or one of those above
};
// Of what the machine and the cgroup have free, each of `processes` like this one gets a share.
MemoryLimit memory_limit(std::optional<int64_t> user_limit_bytes, int64_t processes = 1);

}  // namespace borealis
