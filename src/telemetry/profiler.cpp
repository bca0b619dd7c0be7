#include "telemetry/profiler.h"

#include <span>
#include <utility>

#include "base/check.h"

namespace borealis {

Profiler::Profiler(std::vector<KernelInfo> kernels, const ProfiledSteps& steps,
                   int64_t most_calls_per_step)
    : kernels_(std::move(kernels)), range_(steps), epoch_(Clock::now()) {
  CHECK(steps.count() > 0 && most_calls_per_step > 0);
  events_.reserve(static_cast<size_t>(steps.count() * most_calls_per_step));
  spans_.reserve(static_cast<size_t>(steps.count()));
}

int64_t Profiler::event_bytes(const ProfiledSteps& steps, int64_t most_calls_per_step) {
  return steps.count() * (most_calls_per_step * static_cast<int64_t>(sizeof(KernelEvent)) +
                          static_cast<int64_t>(sizeof(StepSpan)));
}

void Profiler::begin_step(int64_t iteration) {
  recording_ = iteration >= range_.first && iteration < range_.end;
  if (!recording_) return;
  if (spans_.empty()) epoch_ = Clock::now();
  const int64_t start = now_ns();  // before the mark, so that no call ends behind its step
  if (device_ != nullptr) {
    device_->wait();
    device_->forget_marks();
    step_mark_ = device_->mark();
    step_events_ = events_.size();
  }
  spans_.push_back({iteration, start, 0});
}

void Profiler::end_step() {
  if (!recording_) return;
  if (device_ != nullptr) {
    device_->wait();
    const auto ns = [this](int64_t from, int64_t to) {
      return static_cast<int64_t>(1e6 * device_->ms_between(from, to));
    };
    for (KernelEvent& event : std::span(events_).subspan(step_events_)) {
      const int64_t begin = event.start_ns, end = begin + event.duration_ns;  // marks
      event.start_ns = spans_.back().start_ns + ns(step_mark_, begin);
      event.duration_ns = ns(begin, end);
    }
  }
  spans_.back().duration_ns = now_ns() - spans_.back().start_ns;
  recording_ = false;
}

int64_t Profiler::ns_at(Clock::time_point time) const {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time - epoch_).count();
}

void Profiler::record(int kernel, int64_t start_ns, int64_t end_ns, int64_t bytes) {
  CHECK(recording_ && events_.size() < events_.capacity());
  CHECK(kernel >= 0 && kernel < static_cast<int>(kernels_.size()));
  events_.push_back({start_ns, end_ns - start_ns, kernel, bytes});
}

}  // namespace borealis
