// How far a tool is with its input: a line on stderr that is rewritten in place on a terminal,
// otherwise a line for the log every half minute.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace borealis {

class WorkProgress {
 public:
  explicit WorkProgress(std::string what);
  ~WorkProgress();  // erases the line
  WorkProgress(const WorkProgress&) = delete;
  WorkProgress& operator=(const WorkProgress&) = delete;

  // `done` of `total` may start at any number: what came before the first call is not this run's.
  // With `worked_bytes`, those of this run, the line tells their rate in MB/s (10^6 bytes).
  void update(int64_t done, int64_t total, int64_t worked_bytes = 0);

 private:
  using Clock = std::chrono::steady_clock;
  std::string what_;
  bool terminal_ = false;
  bool drawn_ = false;
  Clock::time_point start_;
  Clock::time_point last_;
  int64_t first_done_ = -1;
};

}  // namespace borealis
