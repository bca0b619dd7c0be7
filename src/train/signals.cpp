#include "train/signals.h"

#include <array>
#include <csignal>

namespace borealis {
namespace {

struct WatchedSignal {
  int number;
  const char* name;
};
constexpr std::array kSignals = {WatchedSignal{SIGINT, "SIGINT"}, WatchedSignal{SIGTERM, "SIGTERM"},
                                 WatchedSignal{SIGUSR1, "SIGUSR1"}};

// A handler can reach nothing but a global.
volatile std::sig_atomic_t received_signal = 0;

void set_handlers(void (*handler)(int)) {
  for (const WatchedSignal& watched : kSignals) std::signal(watched.number, handler);
}

void remember(int signal) {
  received_signal = signal;
  set_handlers(SIG_DFL);  // the next one, whichever it is, is not ours to delay
}

}  // namespace

SignalWatch::SignalWatch() {
  received_signal = 0;
  set_handlers(remember);
}

SignalWatch::~SignalWatch() { set_handlers(SIG_DFL); }

const char* SignalWatch::received() const {
  for (const WatchedSignal& watched : kSignals) {
    if (received_signal == watched.number) return watched.name;
  }
  return nullptr;
}

}  // namespace borealis
