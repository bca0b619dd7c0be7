// SIGINT, SIGTERM, SIGHUP (the terminal or the connection is gone) and SIGUSR1 (which schedulers
// send before the end of a job's time) ask a run to save and end after the step in progress. The
// next of them ends the process at once, as it would without this. One that is ignored when the
// program starts (SIGHUP under nohup) stays so.
#pragma once

#include <string_view>

namespace borealis {

class SignalWatch {
 public:
  SignalWatch();
  ~SignalWatch();  // puts the previous handlers back
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

  // "SIGINT", "SIGTERM", "SIGHUP" or "SIGUSR1" once one has arrived, nullptr before.
  const char* received() const;
};

// What shells call the end by this signal, 128 + its number; 0 if it is none of the above.
int signal_exit_code(std::string_view name);

}  // namespace borealis
