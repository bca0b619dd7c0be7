#include "base/side_thread.h"

#include <omp.h>
#include <pthread.h>

#include <csignal>
#include <utility>

#include "base/cores.h"

namespace borealis {
namespace {

// A new thread inherits the mask of the one that starts it.
class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~AllSignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace

std::thread start_side_thread(std::function<void()> work) {
  const AllSignalsBlocked blocked;
  return std::thread([work = std::move(work)] {
    use_all_processors();
    omp_set_num_threads(1);
    work();
  });
}

}  // namespace borealis
