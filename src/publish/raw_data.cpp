#include "publish/raw_data.h"

#include <fmt/format.h>

#include <functional>

namespace borealis {
namespace {

// Without what the layout uses to tell its fields apart.
std::string plain(const std::string& text) {
  std::string clean;
  for (const char c : text) {
    const bool is_mark = c == ',' || c == '[' || c == ']' || c == ':' || c == '\t' || c == '\n';
    if (!is_mark) clean += c;
  }
  return clean;
}

std::string model_name(const MeasuredRun& run) {
  return fmt::format("{}-nLayers{}", plain(run.family), run.model.num_hidden_layers);
}

std::string run_fields(const MeasuredRun& run) {
  return fmt::format(
      "machine: {}, env.NHOSTS: {}, env.MODEL_ARCH: {}, args.global_batch_size: {}, created_at: {}",
      plain(run.machine.cpu_model), run.hosts, model_name(run), run.global_batch_size,
      run.started_at);
}

std::string lines_of(const PerformanceReport& report,
                     const std::function<std::string(const MeasuredRun&)>& line) {
  std::string text;
  for (const ResultRow& row : report.rows) {
    for (const size_t index : row.runs) text += line(report.runs[index]) + "\n";
  }
  return text;
}

}  // namespace

std::string raw_tflops(const PerformanceReport& report) {
  return lines_of(report, [](const MeasuredRun& run) {
    const std::string machine = plain(run.machine.cpu_model);
    return fmt::format(
        "[{0}] [NHOST:{1}][MB:{2}][GAS:{3}][GB:{4}]  [@ {5}][id:{0}, {1}, {6}, {4}, {5}]"
        "[TFLOPS-lm:{7:.7g}]\t{8:.16g}",
        machine, run.hosts, run.micro_batch_size, run.grad_accum_steps, run.global_batch_size,
        run.started_at, model_name(run), run.steps.back().tflops,
        run_median(run, &StepRecord::tflops));
  });
}

std::string raw_tokens_per_gpu(const PerformanceReport& report) {
  return lines_of(report, [](const MeasuredRun& run) {
    return fmt::format("{}\t{:.16g}", run_fields(run),
                       run_median(run, &StepRecord::tokens_per_gpu_per_second));
  });
}

std::string raw_tokens(const PerformanceReport& report) {
  return lines_of(report, [](const MeasuredRun& run) {
    return fmt::format("{}\t{:.16g}", run_fields(run),
                       run_median(run, &StepRecord::tokens_per_gpu_per_second) *
                           static_cast<double>(run.world_size));
  });
}

std::string raw_sizes(const PerformanceReport& report) {
  return lines_of(report, [](const MeasuredRun& run) {
    return fmt::format("[{}][nlayers: {}] {}\t{:.9f}", model_name(run), run.model.num_hidden_layers,
                       run_fields(run), static_cast<double>(run.parameters) * 1e-9);
  });
}

}  // namespace borealis
