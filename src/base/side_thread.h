// A thread beside the one that runs the steps.
#pragma once

#include <functional>
#include <thread>

namespace borealis {

// Starts it with all signals blocked: they are for the thread that runs the steps. Throws
// std::system_error where the system has no thread for it.
std::thread start_side_thread(std::function<void()> work);

}  // namespace borealis
