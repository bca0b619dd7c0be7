// SIGINT, SIGTERM and SIGUSR1 (which schedulers send before the end of a job's time) ask a run to
// save and end after the step in progress. The next of them ends the process at once, as it would
// without this.
#pragma once

namespace borealis {

class SignalWatch {
 public:
  SignalWatch();
  ~SignalWatch();  // puts the previous handlers back
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

  // "SIGINT", "SIGTERM" or "SIGUSR1" once one has arrived, nullptr before.
  const char* received() const;
};

}  // namespace borealis
