// Independent tasks on the OpenMP threads.
#pragma once

#include <cstdint>
#include <functional>

namespace borealis {

// task(0) .. task(count - 1) in any order; nested calls run one after the other. Every task runs
// even if another one throws; then one of the exceptions leaves.
void run_parallel(int64_t count, const std::function<void(int64_t)>& task);

}  // namespace borealis
