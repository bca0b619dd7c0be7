// NCCL between threads of this process, each with an emulated device: what NcclLibrary::load()
// finds in these tests. Sends and receives of a group meet as NCCL's do, in their streams.
#pragma once

#include <atomic>

namespace borealis::emulated {

// What all communicators say of themselves until it is set again; 0: that all is well.
extern std::atomic<int> nccl_error;

}  // namespace borealis::emulated
