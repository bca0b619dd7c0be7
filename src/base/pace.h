// Work that goes on beside work that matters more: it rests between its parts.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace borealis {

class Pace {
 public:
  // Every rest is `rest_per_work` times as long as what the worker did since the one before.
  explicit Pace(double rest_per_work) : rest_per_work_(rest_per_work) {}

  // Before the worker's first part: its time counts from now on, and hurry() is forgotten.
  void begin();
  // By the worker, between two parts.
  void rest();
  // By whoever waits for the worker: no more rests until it begins anew, and no more of this one.
  void hurry();

 private:
  using Clock = std::chrono::steady_clock;

  const double rest_per_work_;
  std::mutex mutex_;
  std::condition_variable hurried_;
  bool hurry_ = false;  // guarded, like the next
  Clock::time_point part_began_ = Clock::now();
};

}  // namespace borealis
