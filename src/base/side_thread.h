// A thread beside the one that runs the steps.
#pragma once

#include <functional>
#include <thread>

namespace borealis {

// Starts it with signals blocked, but for those of its own faults: they are for the thread that
// runs the steps. It may run on any core of the process: that of the thread which starts it, to
// which OMP_PROC_BIND binds, is busy. Its parallel regions have one thread: libgomp lets the
// threads of all teams spin at barriers only as long as they are no more than the cores. Throws
// std::system_error where the system has no thread for it.
std::thread start_side_thread(std::function<void()> work);

}  // namespace borealis
