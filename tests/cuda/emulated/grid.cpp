#include "cuda/emulated/grid.h"

#include <ucontext.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

#include "base/check.h"

namespace borealis::emulated {

dim3 thread_index(0), block_index(0), block_dim(0), grid_dim(0);

namespace {

constexpr unsigned kLanes = 32, kMostThreads = 1024, kMostRows = 65535;
constexpr size_t kStackBytes = 64 << 10, kMostBytes = 16;

// Of the compiler's own jumps, which save no registers but those that the compiler asks for:
// several times as fast as the library's.
using Place = std::array<void*, 5>;

struct Barrier {
  unsigned arrived = 0, expected = 0, turn = 0;
};

struct Fiber {
  std::unique_ptr<std::byte[]> stack = std::make_unique<std::byte[]>(kStackBytes);
  ucontext_t begin{};
  Place place{};
  bool begun = false, done = false;
  unsigned exchanges = 0;
};

// Values of one exchange stay while the next is under way, no longer.
struct Warp {
  Barrier barrier;
  std::array<std::array<std::array<std::byte, kMostBytes>, kLanes>, 2> values{};
};

struct Block {
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  Barrier barrier;
  unsigned running = 0, left = 0;
  const std::function<void()>* body = nullptr;
  Place caller{};

  Warp& warp() { return warps[running / kLanes]; }
};
Block block;

// A context is entered once, for all blocks; from then on jumps, which make no system call, change
// fibers. They may not be made by the function that they lead to.
[[noreturn, gnu::noinline]] void go_on_with(unsigned thread) {
  block.running = thread;
  thread_index.x = thread;
  Fiber& fiber = block.fibers[thread];
  if (fiber.begun) __builtin_longjmp(fiber.place.data(), 1);
  fiber.begun = true;
  setcontext(&fiber.begin);
  CHECK(false, "setcontext");
  __builtin_unreachable();
}
[[noreturn, gnu::noinline]] void go_on_with_next() {
  unsigned next = block.running;
  do next = (next + 1) % block_dim.x;
  while (block.fibers[next].done);
  go_on_with(next);
}
[[gnu::noinline]] void change() {
  if (__builtin_setjmp(block.fibers[block.running].place.data()) == 0) go_on_with_next();
}

void open_if_complete(Barrier& barrier) {
  if (barrier.arrived < barrier.expected) return;
  barrier.arrived = 0;
  ++barrier.turn;
}
void wait_at(Barrier& barrier) {
  const unsigned turn = barrier.turn;
  ++barrier.arrived;
  open_if_complete(barrier);
  while (barrier.turn == turn) change();
}
void leave(Barrier& barrier) {
  --barrier.expected;
  if (barrier.arrived > 0) open_if_complete(barrier);
}

[[noreturn, gnu::noinline]] void leave_block() {
  block.fibers[block.running].done = true;
  leave(block.barrier);
  leave(block.warp().barrier);
  if (--block.left == 0) __builtin_longjmp(block.caller.data(), 1);
  go_on_with_next();
}
[[gnu::noinline]] void rest_until_next_block() {
  if (__builtin_setjmp(block.fibers[block.running].place.data()) == 0) leave_block();
}
void run_fiber() {
  for (;;) {
    (*block.body)();
    rest_until_next_block();
  }
}

[[gnu::noinline]] void run_block() {
  const unsigned threads = block_dim.x;
  block.fibers.resize(std::max<size_t>(block.fibers.size(), threads));
  block.warps.assign(threads / kLanes, Warp{});
  for (Warp& warp : block.warps) warp.barrier.expected = kLanes;
  block.barrier = {.arrived = 0, .expected = threads, .turn = 0};
  block.left = threads;
  for (unsigned thread = 0; thread < threads; ++thread) {
    Fiber& fiber = block.fibers[thread];
    fiber.done = false;
    fiber.exchanges = 0;
    if (fiber.begun) continue;
    CHECK(getcontext(&fiber.begin) == 0);
    fiber.begin.uc_stack = {.ss_sp = fiber.stack.get(), .ss_flags = 0, .ss_size = kStackBytes};
    fiber.begin.uc_link = nullptr;
    makecontext(&fiber.begin, run_fiber, 0);
  }
  if (__builtin_setjmp(block.caller.data()) == 0) go_on_with(0);
}

}  // namespace

void run(dim3 grid, dim3 threads, const std::function<void()>& body) {
  static std::mutex mutex;  // one grid at a time, whichever stream it is of
  const std::lock_guard lock(mutex);
  CHECK(grid.x > 0 && grid.y > 0 && grid.y <= kMostRows && threads.x > 0 && threads.y == 1 &&
        threads.x <= kMostThreads && threads.x % kLanes == 0);
  block.body = &body;
  grid_dim = grid;
  block_dim = threads;
  for (unsigned y = 0; y < grid.y; ++y) {
    for (unsigned x = 0; x < grid.x; ++x) {
      block_index = dim3(x, y);
      run_block();
    }
  }
}

void wait_for_block() { wait_at(block.barrier); }

void exchange(const void* mine, void* other, size_t size, int mask) {
  CHECK(size <= kMostBytes);
  const unsigned lane = block.running % kLanes;
  auto& values = block.warp().values[block.fibers[block.running].exchanges++ % 2];
  std::memcpy(values[lane].data(), mine, size);
  wait_at(block.warp().barrier);
  std::memcpy(other, values[lane ^ static_cast<unsigned>(mask)].data(), size);
}

}  // namespace borealis::emulated
