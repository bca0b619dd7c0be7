#include "data/parallel_tasks.h"

#include <omp.h>

#include <algorithm>
#include <exception>

namespace borealis {

void run_parallel(int64_t count, const std::function<void(int64_t)>& task) {
  std::exception_ptr failure;  // exceptions must not leave a parallel region
  const int threads = static_cast<int>(std::clamp<int64_t>(count, 1, omp_get_max_threads()));
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (int64_t i = 0; i < count; ++i) {
    try {
      task(i);
    } catch (...) {
#pragma omp critical(borealis_run_parallel)
      if (!failure) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace borealis
