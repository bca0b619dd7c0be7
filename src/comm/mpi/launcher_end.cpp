#include "comm/mpi/launcher_end.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>

namespace borealis {
namespace {

constexpr int kPatienceMs = 15'000, kMercyMs = 3'000;

// Of the process behind the descriptor; true once it has ended.
bool ends_within(int launcher, int most_ms) {
  pollfd waiting{.fd = launcher, .events = POLLIN, .revents = 0};
  return ::poll(&waiting, 1, most_ms) > 0;
}

}  // namespace

// In the child only system calls are allowed: this process has threads.
void end_hanging_launcher() {
  const auto launcher = static_cast<int>(::syscall(SYS_pidfd_open, ::getppid(), 0));
  if (launcher < 0 || ::fork() != 0) return;  // an old kernel: the launcher is on its own
  ::setsid();
  // The launcher may wait for the last who holds its pipes.
  const int kept = ::dup2(launcher, 0);
  ::syscall(SYS_close_range, 1U, ~0U, 0U);
  if (kept == 0 && !ends_within(0, kPatienceMs)) {
    ::syscall(SYS_pidfd_send_signal, 0, SIGTERM, nullptr, 0);
    if (!ends_within(0, kMercyMs)) ::syscall(SYS_pidfd_send_signal, 0, SIGKILL, nullptr, 0);
  }
  ::_exit(0);
}

}  // namespace borealis
