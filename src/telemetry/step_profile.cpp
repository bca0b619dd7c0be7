#include "telemetry/step_profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/error.h"
#include "base/fault_text.h"
#include "base/file.h"
#include "base/json_excerpt.h"

namespace borealis {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const KernelTime& kernel) {
  return {{"name", kernel.name},       {"group", kernel.group}, {"calls", kernel.calls},
          {"time_ms", kernel.time_ms}, {"flops", kernel.flops}, {"bytes", kernel.bytes}};
}

KernelTime kernel_from_json(const Json& json) {
  return {json.at("name"),    json.at("group"), json.at("calls"),
          json.at("time_ms"), json.at("flops"), json.at("bytes")};
}

double microseconds(int64_t time_ns) { return static_cast<double>(time_ns) * 1e-3; }

Json complete_event(const std::string& name, const std::string& category, int64_t start_ns,
                    int64_t duration_ns, int64_t rank, int thread) {
  return {{"name", name},  {"cat", category},
          {"ph", "X"},     {"ts", microseconds(start_ns)},
          {"pid", rank},   {"dur", microseconds(duration_ns)},
          {"tid", thread}, {"args", Json::object()}};
}

double bytes_of(const KernelEvent& event, const KernelInfo& info) {
  return event.bytes > 0 ? static_cast<double>(event.bytes) : info.bytes;
}

Json name_of(const char* what, const std::string& name, int64_t rank, int thread) {
  return {{"name", what}, {"ph", "M"}, {"pid", rank}, {"tid", thread}, {"args", {{"name", name}}}};
}

}  // namespace

double StepProfile::kernels_ms() const {
  double sum = 0;
  for (const KernelTime& kernel : kernels) {
    if (kernel.group != kBesideKernels) sum += kernel.time_ms;
  }
  return sum;
}

StepProfile summarize_profile(const Profiler& profiler, double gemm_flops_per_s,
                              double triad_bytes_per_s) {
  CHECK(!profiler.steps().empty());
  StepProfile profile;
  profile.first_iteration = profiler.steps().front().iteration;
  profile.steps = static_cast<int64_t>(profiler.steps().size());
  profile.gemm_flops_per_s = gemm_flops_per_s;
  profile.triad_bytes_per_s = triad_bytes_per_s;
  const auto steps = static_cast<double>(profile.steps);
  for (const StepSpan& step : profiler.steps()) {
    profile.step_ms += static_cast<double>(step.duration_ns) * 1e-6 / steps;
  }
  for (const KernelInfo& kernel : profiler.kernels()) {
    profile.kernels.push_back({.name = kernel.name, .group = kernel.group});
  }
  for (const KernelEvent& event : profiler.events()) {
    const auto index = static_cast<size_t>(event.kernel);
    const KernelInfo& info = profiler.kernels()[index];
    KernelTime& sum = profile.kernels[index];
    sum.calls += 1;
    sum.time_ms += static_cast<double>(event.duration_ns) * 1e-6;
    sum.flops += info.flops;
    sum.bytes += bytes_of(event, info);
  }
  for (KernelTime& kernel : profile.kernels) {
    for (double* sum : {&kernel.calls, &kernel.time_ms, &kernel.flops, &kernel.bytes})
      *sum /= steps;
  }
  std::erase_if(profile.kernels, [](const KernelTime& kernel) { return kernel.calls == 0; });
  std::ranges::stable_sort(profile.kernels, std::ranges::greater(), &KernelTime::time_ms);
  return profile;
}

void write_step_profile(const std::filesystem::path& run_dir, const StepProfile& profile) {
  Json kernels = Json::array();
  for (const KernelTime& kernel : profile.kernels) kernels.push_back(to_json(kernel));
  const Json json = {{"first_iteration", profile.first_iteration},
                     {"steps", profile.steps},
                     {"step_ms", profile.step_ms},
                     {"gemm_flops_per_s", profile.gemm_flops_per_s},
                     {"triad_bytes_per_s", profile.triad_bytes_per_s},
                     {"kernels", kernels}};
  write_file_atomically(run_dir / kProfileFileName, json_text(json, 2) + "\n");
}

std::optional<StepProfile> read_step_profile(const std::filesystem::path& run_dir) {
  const std::filesystem::path path = run_dir / kProfileFileName;
  if (!std::filesystem::exists(path)) return std::nullopt;
  try {
    const Json json = Json::parse(read_json_text(path));
    StepProfile profile;
    profile.first_iteration = json.at("first_iteration");
    profile.steps = json.at("steps");
    profile.step_ms = json.at("step_ms");
    profile.gemm_flops_per_s = json.at("gemm_flops_per_s");
    profile.triad_bytes_per_s = json.at("triad_bytes_per_s");
    for (const Json& kernel : json.at("kernels")) {
      profile.kernels.push_back(kernel_from_json(kernel));
    }
    return profile;
  } catch (const Json::exception& fault) {
    throw Error(
        ErrorKind::kData,
        fmt::format("{} is not the profile of a run ({})", path.string(), fault_text(fault)),
        "delete it for a report without a profile, or run the training again");
  }
}

void write_chrome_trace(const std::filesystem::path& run_dir, const Profiler& profiler,
                        int64_t rank) {
  constexpr int kSteps = 0, kKernels = 1;
  Json events = Json::array();
  events.push_back(name_of("process_name", fmt::format("rank {}", rank), rank, kSteps));
  events.push_back(name_of("thread_name", "steps", rank, kSteps));
  events.push_back(name_of("thread_name", "kernels", rank, kKernels));
  // What goes on beside them has a line for each kind: events of one line may not overlap.
  std::map<int, int> lines;  // of a kernel
  for (int kernel = 0; kernel < static_cast<int>(profiler.kernels().size()); ++kernel) {
    const KernelInfo& info = profiler.kernels()[static_cast<size_t>(kernel)];
    if (info.group != kBesideKernels) continue;
    const int line = kKernels + 1 + static_cast<int>(lines.size());
    lines[kernel] = line;
    events.push_back(
        name_of("thread_name", fmt::format("{}: {}", kBesideKernels, info.name), rank, line));
  }
  for (const StepSpan& step : profiler.steps()) {
    events.push_back(complete_event(fmt::format("step {}", step.iteration), "step", step.start_ns,
                                    step.duration_ns, rank, kSteps));
  }
  for (const KernelEvent& event : profiler.events()) {
    const KernelInfo& info = profiler.kernels()[static_cast<size_t>(event.kernel)];
    const auto beside = lines.find(event.kernel);
    Json json = complete_event(info.name, info.group, event.start_ns, event.duration_ns, rank,
                               beside == lines.end() ? kKernels : beside->second);
    const double bytes = bytes_of(event, info);
    json["args"] = {{"GFLOP", info.flops * 1e-9}, {"MB", bytes * 1e-6}};
    if (event.duration_ns > 0) {
      const auto time_ns = static_cast<double>(event.duration_ns);
      json["args"]["GFLOP/s"] = info.flops / time_ns;
      json["args"]["GB/s"] = bytes / time_ns;
    }
    events.push_back(std::move(json));
  }
  const Json trace = {{"displayTimeUnit", "ms"}, {"traceEvents", std::move(events)}};
  write_file_atomically(run_dir / kTraceFileName, json_text(trace) + "\n");
}

}  // namespace borealis
