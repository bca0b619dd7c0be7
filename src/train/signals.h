// SIGINT, SIGTERM, SIGHUP (the terminal or the connection is gone) and SIGUSR1 (which schedulers
// send before the end of a job's time) ask a run to save and end after the step in progress. The
// next of them ends the process at once, as it would without this. One that is ignored when the
// program starts (SIGHUP under nohup) stays so.
#pragma once

#include <csignal>
#include <semaphore>
#include <string_view>
#include <thread>

namespace borealis {

class SignalWatch {
 public:
  SignalWatch();
  ~SignalWatch();  // the signals end the process again
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

  // "SIGINT", "SIGTERM", "SIGHUP" or "SIGUSR1" once one has arrived, nullptr before.
  const char* received() const;
};

// While it is there a thread of its own receives these signals, and neither the calling thread nor
// any that it starts does: to be made before others that compute are (MPI's may be there, and
// receive them as well). The system writes what a handler returns to below the stack pointer of the
// thread that it interrupts, and oneDNN's products in f32 have there, up to its version 3.11, a
// place in the heap (its issue 4845): what lies before it would be lost. It logs, too, that one
// that a SignalWatch waits for has arrived.
class SignalThread {
 public:
  SignalThread();
  ~SignalThread();
  SignalThread(const SignalThread&) = delete;
  SignalThread& operator=(const SignalThread&) = delete;

 private:
  void tell_of_signals();

  sigset_t before_{};
  std::binary_semaphore end_{0};
  std::thread thread_;
};

// What shells call the end by this signal, 128 + its number; 0 if it is none of the above.
int signal_exit_code(std::string_view name);

}  // namespace borealis
