#include "publish/cross_checks.h"

#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <set>

#include "base/units.h"
#include "model/accounting.h"

namespace borealis {
namespace {

// Both ways start from the same measured time; files hold it to a few digits fewer than memory.
constexpr double kSame = 1e-3;

bool differ(double a, double b, double rounding) {
  if (std::isnan(a) || std::isnan(b)) return false;   // not known
  if (std::isinf(a) || std::isinf(b)) return a != b;  // a rate over a time of 0
  return std::abs(a - b) > std::max(kSame, 2 * rounding) * std::max(std::abs(a), std::abs(b));
}

class RunCheck {
 public:
  RunCheck(const MeasuredRun& run, PerformanceReport& report) : run_(run), report_(report) {}

  void run() {
    const auto ranks = static_cast<double>(run_.world_size);
    const auto seq = static_cast<double>(run_.seq_length);
    compare_steps(
        "tokens per GPU and second", "logged",
        [](const StepRecord& step) { return step.tokens_per_gpu_per_second; },
        "by samples per second",
        [&](const StepRecord& step) { return step.samples_per_second * seq / ranks; });
    compare_steps(
        "tokens per GPU and second", "logged",
        [](const StepRecord& step) { return step.tokens_per_gpu_per_second; }, "by the step's time",
        [&](const StepRecord& step) {
          return static_cast<double>(step.global_batch_size) * seq / (step.elapsed_ms * 1e-3) /
                 ranks;
        });
    const double flops = flops_per_token(run_.model, run_.seq_length);
    compare_steps(
        "TFLOPs", "logged", [](const StepRecord& step) { return step.tflops; }, "by tokens per GPU",
        [flops](const StepRecord& step) { return step.tokens_per_gpu_per_second * flops * 1e-12; });
    ++report_.checks;
    const int64_t parameters = parameter_count(run_.model);
    if (run_.parameters != parameters) {
      tell(fmt::format("it has {} parameters as logged, {} by its shape",
                       format_count(run_.parameters), format_count(parameters)));
    }
    ++report_.checks;
    const int64_t batch = run_.micro_batch_size * run_.grad_accum_steps *
                          (run_.world_size / run_.sequence_parallel_size);
    if (run_.global_batch_size != batch) {
      tell(
          fmt::format("its global batch is {} as logged, {} by micro batch, accumulation and ranks",
                      run_.global_batch_size, batch));
    }
  }

 private:
  using Way = std::function<double(const StepRecord&)>;
  void compare_steps(const char* quantity, const char* first_name, const Way& first,
                     const char* second_name, const Way& second) {
    ++report_.checks;
    for (const StepRecord& step : run_.steps) {
      const double a = first(step), b = second(step);
      if (!differ(a, b, run_.rounding)) continue;
      tell(fmt::format("{} of step {} are {:.6g} {}, {:.6g} {}", quantity, step.iteration, a,
                       first_name, b, second_name));
      return;
    }
  }
  void tell(std::string text) { report_.disagreements.push_back({run_.source, std::move(text)}); }

  const MeasuredRun& run_;
  PerformanceReport& report_;
};

void check_versions(PerformanceReport& report) {
  for (const ResultRow& row : report.rows) {
    ++report.checks;
    std::set<std::string> versions;
    for (const size_t index : row.runs) versions.insert(report.runs[index].version);
    if (versions.size() < 2) continue;
    report.disagreements.push_back(
        {report.runs[row.runs.front()].source,
         fmt::format("the runs of {}, {} layers, are of {} versions of the program", row.series(),
                     row.layers, versions.size())});
  }
}

}  // namespace

void cross_check(PerformanceReport& report) {
  for (const MeasuredRun& run : report.runs) RunCheck(run, report).run();
  check_versions(report);
}

}  // namespace borealis
