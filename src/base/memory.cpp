#include "base/memory.h"

#include <fmt/format.h>
#include <omp.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <utility>

#include "base/cgroup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/rounding.h"
#include "base/units.h"

namespace borealis {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20;
constexpr size_t kPageBytes = 4096;

// "Name:   123 kB" lines of /proc files, in bytes; 0 where absent.
int64_t proc_field_bytes(const char* path, std::string_view name) {
  std::istringstream lines;
  try {
    lines.str(read_text_file(path));
  } catch (const Error&) {
    throw Error(ErrorKind::kFile, fmt::format("cannot read {}", path),
                "mount /proc, which tells what memory there is");
  }
  std::string line;
  while (std::getline(lines, line)) {
    if (line.starts_with(name)) return std::stoll(line.substr(name.size())) * 1024;
  }
  return 0;
}

std::optional<int64_t> limit_in_file(const std::filesystem::path& path) {
  std::error_code code;
  if (!std::filesystem::exists(path, code)) return std::nullopt;
  try {
    const int64_t limit = std::stoll(read_text_file(path));
    if (limit > 0 && limit < (int64_t{1} << 60))
      return limit;  // v1 writes a huge number for "none"
  } catch (const std::exception&) {
    // "max", or not ours to read: no limit known from here
  }
  return std::nullopt;
}

// The tightest limit on the way from this process's cgroup to the root.
std::optional<int64_t> cgroup_limit() {
  std::optional<int64_t> tightest;
  for_each_cgroup("memory", [&](const std::filesystem::path& folder, CgroupVersion version) {
    const auto limit = limit_in_file(
        folder / (version == CgroupVersion::kV2 ? "memory.max" : "memory.limit_in_bytes"));
    if (limit && (!tightest || *limit < *tightest)) tightest = limit;
  });
  return tightest;
}

}  // namespace

PageBuffer::PageBuffer(size_t bytes, const std::string& name) : size_(bytes) {
  if (bytes == 0) return;
  const bool huge = bytes >= kHugePageBytes;
  // Room to start on a huge page; what lies before and after is never touched, so costs nothing.
  mapped_ = round_up(bytes, kPageBytes) + (huge ? kHugePageBytes : 0);
  void* address = ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) {
    throw Error(
        ErrorKind::kMemory,
        fmt::format("cannot reserve {} for {}: {}", format_bytes(static_cast<int64_t>(bytes)), name,
                    std::strerror(errno)),
        "raise the limit of the address space (ulimit -v, ulimit -d, or the job's), or choose a "
        "smaller model or MICRO_BATCH");
  }
  if (huge) {
    const auto start = round_up(reinterpret_cast<uintptr_t>(address), kHugePageBytes);
    const auto before = start - reinterpret_cast<uintptr_t>(address);
    if (before > 0) ::munmap(address, before);
    data_ = reinterpret_cast<std::byte*>(start);
    mapped_ -= before;
    // Only whole huge pages: a tail rounded up would be memory that no plan counts.
    ::madvise(data_, bytes / kHugePageBytes * kHugePageBytes, MADV_HUGEPAGE);
  } else {
    data_ = static_cast<std::byte*>(address);
  }
  const auto pages = static_cast<int64_t>(divide_up(bytes, kPageBytes));
#pragma omp parallel for schedule(static)
  for (int64_t page = 0; page < pages; ++page) {
    // volatile: a plain store of zero into zeroed memory may be dropped
    *reinterpret_cast<volatile char*>(data_ + page * static_cast<int64_t>(kPageBytes)) = 0;
  }
}

PageBuffer::~PageBuffer() {
  if (data_ != nullptr) ::munmap(data_, mapped_);
}

PageBuffer::PageBuffer(PageBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapped_(std::exchange(other.mapped_, 0)) {}

PageBuffer& PageBuffer::operator=(PageBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(mapped_, other.mapped_);
  return *this;
}

int64_t resident_bytes() { return proc_field_bytes("/proc/self/status", "VmRSS:"); }
int64_t peak_resident_bytes() { return proc_field_bytes("/proc/self/status", "VmHWM:"); }
int64_t available_bytes() { return proc_field_bytes("/proc/meminfo", "MemAvailable:"); }

namespace {

constexpr int64_t kThreadBytes = int64_t{8} << 20;
// Beside OpenMP's: those that read batches ahead (training and validation), save, report, write the
// first summary and watch the system.
constexpr int64_t kSideThreads = 6;
constexpr int64_t kLibraryBytes = int64_t{64} << 20;

// What a limit of the process (`ulimit -v`, `ulimit -d`) leaves for memory that is used. What is
// taken and hardly used counts, too: stacks of threads to come, generated code, room to start on a
// huge page. `counted`: the line of /proc/self/status that the limit counts.
std::optional<int64_t> process_limit(__rlimit_resource resource, const char* counted) {
  struct rlimit limit {};
  if (::getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  struct rlimit stack {};
  const bool bounded = ::getrlimit(RLIMIT_STACK, &stack) == 0 && stack.rlim_cur != RLIM_INFINITY;
  const int64_t thread_bytes = bounded ? static_cast<int64_t>(stack.rlim_cur) : kThreadBytes;
  const int64_t unused = proc_field_bytes("/proc/self/status", counted) - resident_bytes() +
                         (omp_get_max_threads() + kSideThreads) * thread_bytes + kLibraryBytes;
  return std::max<int64_t>(0, static_cast<int64_t>(limit.rlim_cur) - unused);
}

}  // namespace

MemoryLimit memory_limit(std::optional<int64_t> user_limit_bytes, int64_t processes) {
  MemoryLimit limit{available_bytes() / processes + resident_bytes(), "free memory"};
  const auto group = cgroup_limit();
  if (group && *group / processes < limit.bytes) limit = {*group / processes, "the cgroup's limit"};
  const auto addresses = process_limit(RLIMIT_AS, "VmSize:");
  if (addresses && *addresses < limit.bytes) limit = {*addresses, kAddressSpaceLimit};
  const auto data = process_limit(RLIMIT_DATA, "VmData:");
  if (data && *data < limit.bytes) limit = {*data, kDataLimit};
  if (user_limit_bytes && *user_limit_bytes < limit.bytes) {
    limit = {*user_limit_bytes, kGivenLimit};
  }
  return limit;
}

}  // namespace borealis
