#include "base/lost_pages.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <map>
#include <mutex>
#include <string_view>

#include "base/error.h"
#include "base/printable.h"

namespace borealis {

struct Mapping {
  uintptr_t begin = 0, end = 0;
  std::string line;  // that tells of its loss
  std::atomic<bool> is_whole = true;
};

namespace {

uintptr_t address_of(const void* place) { return reinterpret_cast<uintptr_t>(place); }

// The handler takes the lock, too. It runs in a thread that was reading a file, and nobody reads
// one while he holds it.
class Mappings {
 public:
  std::mutex mutex;
  std::map<uintptr_t, std::shared_ptr<Mapping>> by_begin;

  std::shared_ptr<Mapping> at(uintptr_t address) {
    const std::lock_guard lock(mutex);
    return find(address);
  }
  // As the handler asks: another thread lets go soon; one that lost a page of something else while
  // it held the lock never does.
  std::shared_ptr<Mapping> at_if_free(uintptr_t address) {
    for (int tries = 0; tries < 1000; ++tries) {
      const std::unique_lock lock(mutex, std::try_to_lock);
      if (lock) return find(address);
      ::usleep(100);
    }
    return nullptr;
  }

 private:
  std::shared_ptr<Mapping> find(uintptr_t address) const {
    const auto behind = by_begin.upper_bound(address);
    if (behind == by_begin.begin()) return nullptr;
    const std::shared_ptr<Mapping>& mapping = std::prev(behind)->second;
    return address < mapping->end ? mapping : nullptr;
  }
};

// Never destroyed: a file may be mapped for as long as the process lives.
Mappings& mappings() {
  static auto* const all = new Mappings;
  return *all;
}

thread_local const Mapping* read_by_this_thread = nullptr;

size_t page_bytes() {
  static const auto bytes = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

bool put_zeros(uintptr_t address) {
  const uintptr_t page = address / page_bytes() * page_bytes();
  void* const place = reinterpret_cast<void*>(page);
  return ::mmap(place, page_bytes(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
         place;
}

void on_lost_page(int signal, siginfo_t* info, void*) {
  const uintptr_t address = address_of(info->si_addr);
  const bool is_sent = info->si_code <= 0;  // by another process, of no address
  const std::shared_ptr<Mapping> mapping = is_sent ? nullptr : mappings().at_if_free(address);
  if (!mapping) {
    std::signal(signal, SIG_DFL);
    if (is_sent) std::raise(signal);  // else the instruction runs into it again
    return;
  }
  if (mapping.get() == read_by_this_thread) {
    mapping->is_whole = false;  // before anybody can read the zeros
    if (put_zeros(address)) return;
  }
  (void)!::write(STDERR_FILENO, mapping->line.data(), mapping->line.size());
  ::_exit(error_exit_code(ErrorKind::kFile));
}

}  // namespace

void tell_of_lost_pages() {
  (void)mappings();
  (void)page_bytes();
  struct sigaction action {};
  action.sa_sigaction = on_lost_page;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
}

MappedRead::MappedRead(std::span<const std::byte> file)
    : mapping_(mappings().at(address_of(file.data()))), before_(read_by_this_thread) {
  read_by_this_thread = mapping_.get();
}

MappedRead::~MappedRead() { read_by_this_thread = before_; }

bool MappedRead::is_whole() const { return !mapping_ || mapping_->is_whole; }

void note_mapping(std::span<const std::byte> bytes, const std::string& path) {
  auto mapping = std::make_shared<Mapping>();
  mapping->begin = address_of(bytes.data());
  mapping->end = mapping->begin + bytes.size();
  const Error error(
      ErrorKind::kFile,
      fmt::format("{} was cut short while it was read, or its disk or server failed", path),
      "see that it is whole and readable, and start again");
  mapping->line = "borealis: " + printable(error.what()) + "\n";
  Mappings& all = mappings();
  const std::lock_guard lock(all.mutex);
  all.by_begin[mapping->begin] = mapping;
}

void forget_mapping(const std::byte* data) {
  Mappings& all = mappings();
  const std::lock_guard lock(all.mutex);
  all.by_begin.erase(address_of(data));
}

}  // namespace borealis
