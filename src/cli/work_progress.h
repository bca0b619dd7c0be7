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

  void update(int64_t done, int64_t total);

 private:
  using Clock = std::chrono::steady_clock;
  std::string what_;
  bool terminal_ = false;
  bool drawn_ = false;
  Clock::time_point start_;
  Clock::time_point last_;
};

}  // namespace borealis
