// Times the kernels of some training steps: an event per call, in memory that is taken before the
// first of them. What a kernel computes and moves is stated once, by whoever names the kernels.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "device/device.h"

namespace borealis {

// The group of what goes on on other threads while kernels run: its time is no part of a step's.
inline constexpr const char* kBesideKernels = "between ranks, beside the kernels";

struct KernelInfo {
  std::string name;   // "attention, backward"; a row of the profile
  std::string group;  // "products", "attention": one colour of its plot
  double flops = 0;   // of one call
  // Of one call: each operand read or written once, caches aside. 0: each call says its own.
  double bytes = 0;
};

struct KernelEvent {
  int64_t start_ns = 0;  // since the profile's first step began
  int64_t duration_ns = 0;
  int32_t kernel = 0;  // index into the kernels
  int64_t bytes = 0;   // where calls differ
};

struct StepSpan {
  int64_t iteration = 0;
  int64_t start_ns = 0;
  int64_t duration_ns = 0;
};

// The profiled iterations are [first, end); the contract of Megatron's --profile-step-start/-end.
struct ProfiledSteps {
  int64_t first = 0;
  int64_t end = 0;
  int64_t count() const { return end - first; }
};

class Profiler {
 public:
  using Clock = std::chrono::steady_clock;

  Profiler(std::vector<KernelInfo> kernels, const ProfiledSteps& steps,
           int64_t most_calls_per_step);
  // What the constructor allocates; the memory plan's number.
  static int64_t event_bytes(const ProfiledSteps& steps, int64_t most_calls_per_step);

  // Times calls by the device's marks instead of the host's clock; it must outlive this.
  void use(Device& device) { device_ = &device; }

  // Around each step; outside the profiled ones nothing is recorded.
  void begin_step(int64_t iteration);
  void end_step();
  bool recording() const { return recording_; }
  int64_t now_ns() const { return ns_at(Clock::now()); }
  int64_t ns_at(Clock::time_point time) const;  // since the profile's first step began
  // Around each call: the end with what its beginning returned.
  int64_t begin_call() { return device_ != nullptr ? device_->mark() : now_ns(); }
  void end_call(int kernel, int64_t begin) { record(kernel, begin, begin_call()); }
  // Requires recording() and room for the event (CHECK).
  void record(int kernel, int64_t start_ns, int64_t end_ns, int64_t bytes = 0);

  const std::vector<KernelInfo>& kernels() const { return kernels_; }
  const std::vector<KernelEvent>& events() const { return events_; }
  const std::vector<StepSpan>& steps() const { return spans_; }

 private:
  std::vector<KernelInfo> kernels_;
  ProfiledSteps range_;
  std::vector<KernelEvent> events_;
  std::vector<StepSpan> spans_;
  Clock::time_point epoch_;
  Device* device_ = nullptr;  // null: the host
  int64_t step_mark_ = 0;     // of its begin, and the first event
  size_t step_events_ = 0;    //
  bool recording_ = false;
};

// Records the life of the scope as one call of `kernel`; costs a branch where nothing is recorded.
class KernelScope {
 public:
  KernelScope(Profiler* profiler, int kernel)
      : profiler_(profiler && profiler->recording() ? profiler : nullptr),
        kernel_(kernel),
        begin_(profiler_ ? profiler_->begin_call() : 0) {}
  ~KernelScope() {
    if (profiler_) profiler_->end_call(kernel_, begin_);
  }
  KernelScope(const KernelScope&) = delete;
  KernelScope& operator=(const KernelScope&) = delete;

 private:
  Profiler* profiler_;
  int kernel_;
  int64_t begin_;
};

}  // namespace borealis
