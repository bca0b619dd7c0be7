// Work that goes on beside work that matters more: it rests between its parts, for as long as there
// is time for that.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace borealis {

class Pace {
 public:
  using Clock = std::chrono::steady_clock;

  // Every rest is `rest_per_work` times as long as what the worker did since the one before.
  explicit Pace(double rest_per_work) : rest_per_work_(rest_per_work) {}

  // Before the worker's first part: its time counts from now on, and hurry() is forgotten. Rests
  // end when `time` is over; what is left of the work then goes on without.
  void begin(Clock::duration time);
  // By the worker, between two parts.
  void rest();
  // By whoever waits for the worker: no more rests until it begins anew, and no more of this one.
  void hurry();

 private:
  const double rest_per_work_;
  std::mutex mutex_;
  std::condition_variable hurried_;
  bool hurry_ = false;  // guarded, like the next
  Clock::time_point part_began_;
  Clock::time_point last_rest_ends_;
};

}  // namespace borealis
