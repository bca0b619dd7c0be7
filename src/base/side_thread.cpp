#include "base/side_thread.h"

#include <omp.h>
#include <pthread.h>

#include <csignal>
#include <utility>

#include "base/cores.h"

namespace borealis {
namespace {

// A new thread inherits the mask of the one that starts it. What a thread does itself is its own:
// where a page is lost that it reads (lost_pages.h), the handler is not to be passed over.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t others;
    sigfillset(&others);
    for (const int own : {SIGBUS, SIGSEGV, SIGFPE, SIGILL}) sigdelset(&others, own);
    pthread_sigmask(SIG_SETMASK, &others, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace

std::thread start_side_thread(std::function<void()> work) {
  const SignalsBlocked blocked;
  return std::thread([work = std::move(work)] {
    use_all_processors();
    omp_set_num_threads(1);
    work();
  });
}

}  // namespace borealis
