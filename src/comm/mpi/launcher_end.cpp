#include "comm/mpi/launcher_end.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>

#include "base/process.h"

namespace borealis {
namespace {

constexpr int kPatienceMs = 15'000;

// By the time of this process' end another one may have taken its place, which has nothing to do
// with the job.
const pid_t starter = ::getppid();

}  // namespace

// In the child only system calls are allowed: this process has threads.
void end_hanging_launcher() {
  if (process_name(starter) == "slurmstepd") return;  // whose srun ends by itself
  const auto launcher = static_cast<int>(::syscall(SYS_pidfd_open, starter, 0));
  if (launcher < 0) return;  // an old kernel: the launcher is on its own
  if (::getppid() != starter || ::fork() != 0) return;
  ::setsid();
  // The launcher may wait for the last who holds its pipes.
  const int kept = ::dup2(launcher, 0);
  ::syscall(SYS_close_range, 1U, ~0U, 0U);
  pollfd waiting{.fd = 0, .events = POLLIN, .revents = 0};
  const bool hangs = kept == 0 && ::poll(&waiting, 1, kPatienceMs) == 0;
  // It has been asked to end by the abort; asked once more, Open MPI 4.1's crashes with a trace.
  if (hangs) ::syscall(SYS_pidfd_send_signal, 0, SIGKILL, nullptr, 0);
  ::_exit(0);
}

}  // namespace borealis
