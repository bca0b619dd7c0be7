#include "base/process.h"

#include <fmt/format.h>
#include <omp.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <csignal>
#include <mutex>
#include <set>
#include <string_view>
#include <thread>
#include <vector>

#include "base/cgroup.h"
#include "base/error.h"
#include "base/system_text.h"
#include "base/text.h"

namespace borealis {

namespace {

// Set when the program is loaded. The kernel's own start time is no use: it outlives exec, and so
// would count the install and the build of the script that became this program.
const std::chrono::steady_clock::time_point program_start = std::chrono::steady_clock::now();

// Of the kernel that runs, and of the container if it has processes of its own.
std::string read_process_table() {
  const std::string boot = text_or_empty("/proc/sys/kernel/random/boot_id");
  std::array<char, 64> space{};
  const ssize_t length = ::readlink("/proc/self/ns/pid", space.data(), space.size());
  if (boot.empty() || length <= 0) return "";
  return fmt::format("{} {}", trimmed(boot),
                     std::string_view(space.data(), static_cast<size_t>(length)));
}

const std::string& process_table() {
  static const std::string table = read_process_table();
  return table;
}

struct ProcessState {
  char state = '?';
  int64_t start_ticks = 0;
};

// Fields 3 and 22 of proc(5)'s stat. The name before them may hold blanks and parentheses.
std::optional<ProcessState> process_state(int64_t id) {
  const std::string text = text_or_empty(fmt::format("/proc/{}/stat", id));
  const size_t name_end = text.rfind(") ");
  if (name_end == std::string::npos || name_end + 2 >= text.size()) return std::nullopt;
  ProcessState process{.state = text[name_end + 2]};
  size_t at = name_end + 2;
  for (int field = 3; field < 22; ++field) {
    at = text.find(' ', at);
    if (at == std::string::npos) return std::nullopt;
    ++at;
  }
  const auto read =
      std::from_chars(text.data() + at, text.data() + text.size(), process.start_ticks);
  return read.ec == std::errc() ? std::optional(process) : std::nullopt;
}

}  // namespace

std::string process_name(int64_t id) {
  return std::string(trimmed(text_or_empty(fmt::format("/proc/{}/comm", id))));
}

double process_age_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - program_start).count();
}

std::optional<int> cores_of_places() {
  if (omp_get_proc_bind() == omp_proc_bind_false) return std::nullopt;
  std::set<int> ids;
  for (int place = 0; place < omp_get_num_places(); ++place) {
    std::vector<int> of_place(static_cast<size_t>(omp_get_place_num_procs(place)));
    omp_get_place_proc_ids(place, of_place.data());
    ids.insert(of_place.begin(), of_place.end());
  }
  return ids.empty() ? std::nullopt : std::optional(static_cast<int>(ids.size()));
}

int cores_of_process() {
  cpu_set_t set;
  const int mine = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  // Under OMP_PROC_BIND the main thread is bound to its own place before main(); OpenMP knows the
  // mask that the process started with.
  const int in_mask = std::max(mine, omp_get_num_procs());
  const auto quota = cpu_quota();
  return quota ? std::clamp(static_cast<int>(std::ceil(*quota)), 1, in_mask) : in_mask;
}

int usable_cores() {
  const int cores = cores_of_process();
  return std::min(cores, cores_of_places().value_or(cores));
}

void require_stack() {
  constexpr rlim_t kLeastBytes = rlim_t{128} << 10;
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur >= kLeastBytes) return;
  throw Error(ErrorKind::kMemory,
              fmt::format("stacks of {} KiB (ulimit -s) are too small", limit.rlim_cur >> 10),
              "raise the limit to 512 or more");
}

void require_threads(int threads) {
  std::mutex hold;
  std::vector<std::jthread> started;
  const std::lock_guard all_at_once(hold);
  for (int i = 1; i < threads; ++i) {
    started.emplace_back([&hold] { const std::lock_guard wait(hold); });
  }
}

ProcessMark this_process() {
  ProcessMark mark{.table = process_table(), .id = ::getpid()};
  const auto state = process_state(mark.id);
  if (!state) mark.table.clear();
  if (state) mark.start_ticks = state->start_ticks;
  return mark;
}

std::optional<bool> is_alive(const ProcessMark& process) {
  if (process.table.empty() || process.table != process_table()) return std::nullopt;
  const auto state = process_state(process.id);
  if (!state) {
    // Some systems hide the processes of other users, but not that they are there.
    if (::kill(static_cast<pid_t>(process.id), 0) != 0 && errno == ESRCH) return false;
    return std::nullopt;
  }
  const bool ended = state->state == 'Z' || state->state == 'X';  // nobody has asked how yet
  return !ended && state->start_ticks == process.start_ticks;
}

bool is_stopped(const ProcessMark& process) {
  if (process.table.empty() || process.table != process_table()) return false;
  const auto state = process_state(process.id);
  return state && state->start_ticks == process.start_ticks &&
         (state->state == 'T' || state->state == 't');
}

}  // namespace borealis
