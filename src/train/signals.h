// SIGINT and SIGTERM ask a run to end after the step in progress. A second signal of the same kind
// ends the process at once, as it would without this.
#pragma once

namespace borealis {

class SignalWatch {
 public:
  SignalWatch();
  ~SignalWatch();  // puts the previous handlers back
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

  // "SIGINT" or "SIGTERM" once one has arrived, nullptr before.
  const char* received() const;
};

}  // namespace borealis
