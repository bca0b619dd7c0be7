#include "train/signals.h"

#include <csignal>

namespace borealis {
namespace {

// A handler can reach nothing but a global.
volatile std::sig_atomic_t received_signal = 0;

void remember(int signal) {
  received_signal = signal;
  std::signal(signal, SIG_DFL);  // the next one is not ours to delay
}

}  // namespace

SignalWatch::SignalWatch() {
  received_signal = 0;
  std::signal(SIGINT, remember);
  std::signal(SIGTERM, remember);
}

SignalWatch::~SignalWatch() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

const char* SignalWatch::received() const {
  if (received_signal == SIGINT) return "SIGINT";
  if (received_signal == SIGTERM) return "SIGTERM";
  return nullptr;
}

}  // namespace borealis
