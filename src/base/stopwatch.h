// Wall time on the steady clock, in milliseconds.
#pragma once

#include <chrono>

namespace borealis {

class Stopwatch {
 public:
  Stopwatch() : start_(Clock::now()) {}
  double elapsed_ms() const { return since(start_, Clock::now()); }
  double elapsed_s() const { return elapsed_ms() * 1e-3; }
  // Milliseconds since construction or the previous lap, which ends here.
  double lap_ms() {
    const Clock::time_point now = Clock::now();
    const double lap = since(start_, now);
    start_ = now;
    return lap;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static double since(Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration<double, std::milli>(to - from).count();
  }
  Clock::time_point start_;
};

// Adds the life of the scope to a millisecond counter: { const TimedScope timed(r.forward_ms); }
class TimedScope {
 public:
  explicit TimedScope(double& total_ms) : total_ms_(total_ms) {}
  ~TimedScope() { total_ms_ += stopwatch_.elapsed_ms(); }
  TimedScope(const TimedScope&) = delete;
  TimedScope& operator=(const TimedScope&) = delete;

 private:
  Stopwatch stopwatch_;
  double& total_ms_;
};

}  // namespace borealis
