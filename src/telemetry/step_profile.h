// What a profile amounts to: per kernel its calls, time, FLOPs and bytes in a mean step, beside the
// machine's rates of the same process. Kept as profile.json; the events as trace.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "telemetry/profiler.h"

namespace borealis {

inline constexpr const char* kProfileFileName = "profile.json";
inline constexpr const char* kTraceFileName = "trace.json";

struct KernelTime {
  std::string name;
  std::string group;
  // Per step, means over the profiled steps.
  double calls = 0;
  double time_ms = 0;
  double flops = 0;
  double bytes = 0;

  double flops_per_s() const { return time_ms > 0 ? flops / (time_ms * 1e-3) : 0; }
  double bytes_per_s() const { return time_ms > 0 ? bytes / (time_ms * 1e-3) : 0; }
};

struct StepProfile {
  int64_t first_iteration = 0;
  int64_t steps = 0;
  double step_ms = 0;               // mean
  double gemm_flops_per_s = 0;      // the roofs, measured in the same process
  double triad_bytes_per_s = 0;     // a[i] = b[i] + s c[i] far beyond the caches
  std::vector<KernelTime> kernels;  // those that were called, the dearest first

  double kernels_ms() const;  // without what goes on beside them
};

// Kernels that were never called are left out. Requires at least one finished step (CHECK).
StepProfile summarize_profile(const Profiler& profiler, double gemm_flops_per_s,
                              double triad_bytes_per_s);

// Atomically replaces DIR/profile.json.
void write_step_profile(const std::filesystem::path& run_dir, const StepProfile& profile);
// None if the run was not profiled. Throws Error(kData) if the file is broken.
std::optional<StepProfile> read_step_profile(const std::filesystem::path& run_dir);

// The events in Chrome's Trace Event Format (complete events "X", times in microseconds), which
// chrome://tracing and ui.perfetto.dev open. One process a rank. Atomically replaces
// DIR/trace.json.
void write_chrome_trace(const std::filesystem::path& run_dir, const Profiler& profiler,
                        int64_t rank);

}  // namespace borealis
