// Work that goes on beside work that matters more: it rests between its parts, which are spread
// evenly over the time that there is.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace borealis {

class Pace {
 public:
  using Clock = std::chrono::steady_clock;

  // No rest is longer than `most_rest_per_work` times what the worker did since the one before.
  explicit Pace(double most_rest_per_work) : most_rest_per_work_(most_rest_per_work) {}

  // Before the worker's first part: its time counts from now on, and hurry() is forgotten. There
  // will be as many parts as in the work before or, in the first, `parts`. Rests end when `time` is
  // over; what is left of the work then goes on without.
  void begin(Clock::duration time, int64_t parts);
  // By the worker, between two parts.
  void rest();
  // By whoever waits for the worker: no more rests until it begins anew, and no more of this one.
  void hurry();

 private:
  const double most_rest_per_work_;
  std::mutex mutex_;
  std::condition_variable hurried_;
  bool hurry_ = false;  // guarded, like the next
  Clock::time_point began_, part_began_;
  Clock::duration time_{};
  int64_t parts_ = 0, done_ = 0;
};

}  // namespace borealis
