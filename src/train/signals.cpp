#include "train/signals.h"

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>

#include "base/log.h"

namespace borealis {
namespace {

struct WatchedSignal {
  int number;
  const char* name;
};
constexpr std::array kSignals = {WatchedSignal{SIGINT, "SIGINT"}, WatchedSignal{SIGTERM, "SIGTERM"},
                                 WatchedSignal{SIGHUP, "SIGHUP"},
                                 WatchedSignal{SIGUSR1, "SIGUSR1"}};

// A handler can reach nothing but a global, and only one that needs no lock.
std::atomic<int> received_signal = 0;
static_assert(std::atomic<int>::is_always_lock_free);

void set_handlers(void (*handler)(int)) {
  for (const WatchedSignal& watched : kSignals) {
    struct sigaction before {};
    ::sigaction(watched.number, nullptr, &before);
    if (before.sa_handler != SIG_IGN) std::signal(watched.number, handler);
  }
}

const char* received_name() {
  for (const WatchedSignal& watched : kSignals) {
    if (received_signal == watched.number) return watched.name;
  }
  return nullptr;
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

// A step may take minutes, and who sent the signal is to know that it arrived. A handler cannot
// tell.
void SignalThread::tell_of_signals() {
  constexpr auto kInterval = std::chrono::milliseconds(200);
  bool told = false;
  while (!end_.try_acquire_for(kInterval)) {
    const char* name = received_name();
    if (name != nullptr && !told) {
      log_info(
          fmt::format("{}: the run ends after the step in progress; another signal ends it at "
                      "once",
                      name));
    }
    told = name != nullptr;
  }
}

SignalThread::SignalThread() : thread_([this] { tell_of_signals(); }) {
  sigset_t ours;
  sigemptyset(&ours);
  for (const WatchedSignal& watched : kSignals) sigaddset(&ours, watched.number);
  ::pthread_sigmask(SIG_BLOCK, &ours, &before_);
}

SignalThread::~SignalThread() {
  ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  end_.release();
  thread_.join();
}

const char* SignalWatch::received() const { return received_name(); }

int signal_exit_code(std::string_view name) {
  for (const WatchedSignal& watched : kSignals) {
    if (watched.name == name) return 128 + watched.number;
  }
  return 0;
}

}  // namespace borealis
