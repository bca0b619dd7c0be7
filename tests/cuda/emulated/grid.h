// Runs CUDA kernels on one thread of the CPU, so that their indices, sums and shared memory are
// tested where there is no GPU: blocks one after the other, the threads of a block as fibers that
// change at barriers and shuffles. It tells nothing of speed, of races between barriers, or of the
// GPU's own arithmetic.
#pragma once

#include <cstddef>
#include <functional>

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3(unsigned x_size, unsigned y_size = 1) : x(x_size), y(y_size) {}
};

namespace borealis::emulated {

extern dim3 thread_index, block_index, block_dim, grid_dim;

// Calls `body` for every thread of the grid. A launch that a GPU would refuse, or blocks that are
// no whole warps, end the process.
void run(dim3 grid, dim3 block, const std::function<void()>& body);

// Of the thread that is running: until all threads of its block that have not returned are here.
void wait_for_block();
// Gives `size` bytes to the lane whose number differs by `mask`, and gets its.
void exchange(const void* mine, void* other, size_t size, int mask);

}  // namespace borealis::emulated
