#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/not_a_number.h"
#include "base/units.h"
#include "report/report_lines.h"

namespace borealis {
namespace {

double positive(double value) { return std::isfinite(value) && value > 0 ? value : kNaN; }
double rate_of(const StepRecord& step) { return positive(step.tokens_per_gpu_per_second); }
double time_of(const StepRecord& step) { return positive(step.elapsed_ms); }
double gemm_percent_of(const StepRecord& step) { return positive(step.gemm_share) * 100; }

// Ends the axis below what stands out in this run. Returns a sentence that says so, or nothing.
template <typename Value>
std::string leave_out_outliers(const RunResults& results, const AxisScale& x, Value value,
                               const std::string& unit, PlotSpec& plot) {
  const std::vector<PlotPoint> points = points_of(results.steps, x, true, value);
  plot.y_most = axis_end_without_outliers(points);
  if (!plot.y_most) return "";
  int64_t beyond = 0;
  PlotPoint highest;
  for (const PlotPoint& point : points) {
    if (std::isfinite(point.y) && point.y > *plot.y_most) ++beyond;
    if (point.y > highest.y) highest = point;
  }
  return fmt::format(" {} step{} beyond the scale, up to {}\u00a0{} (iteration {:.0f}).",
                     format_count(beyond), beyond == 1 ? " lies" : "s lie",
                     format_significant(highest.y), unit, highest.x);
}

template <typename Value>
PlotSpec speed_plot(const RunResults& results, int color, Value value, const std::string& unit,
                    PlotSpec plot) {
  const AxisScale x = axis_scale(results, RunAxis::kIterations);
  plot.x_label = x.label;
  plot.y_from_zero = true;
  plot.description += leave_out_outliers(results, x, value, unit, plot);
  add_lines(results, x, "each step", color, Smoothing::kMedian, value, plot.series);
  return plot;
}

std::string measured(double value, const std::string& unit) {
  return std::isfinite(value) ? format_significant(value) + unit : "not measured";
}

}  // namespace

PlotSpec tokens_per_second_plot(const RunResults& results) {
  PlotSpec plot;
  plot.id = "tokens-per-second";
  plot.title = "Tokens per second by iteration";
  plot.y_label = "tokens per rank and second";
  plot.description = fmt::format("Tokens per rank and second of each step; median {}.",
                                 measured(results.summary.tokens_per_gpu_per_second, ""));
  return speed_plot(results, 6, rate_of, "tokens/s", std::move(plot));
}

PlotSpec step_time_plot(const RunResults& results) {
  PlotSpec plot;
  plot.id = "step-ms";
  plot.title = "Step time by iteration";
  plot.y_label = "step time (ms)";
  plot.description =
      fmt::format("Time from one step to the next, with all that lies between; median {}.",
                  measured(results.summary.step_ms, "\u00a0ms"));
  return speed_plot(results, 3, time_of, "ms", std::move(plot));
}

std::optional<PlotSpec> gemm_share_plot(const RunResults& results) {
  PlotSpec plot;
  plot.id = "gemm-share";
  plot.title = "Share of the GEMM rate by iteration";
  plot.y_label = "% of the measured GEMM rate";
  // The steps knew no other rate; the summary has the better, if it was measured once more.
  const auto last =
      std::find_if(results.steps.rbegin(), results.steps.rend(),
                   [](const auto& step) { return std::isfinite(gemm_percent_of(step)); });
  if (last == results.steps.rend()) return std::nullopt;
  plot.description = fmt::format(
      "Share of each step of the GEMM rate that was measured after the first; median {}.",
      format_percent(results.summary.tflops * last->gemm_share / last->tflops));
  return speed_plot(results, 8, gemm_percent_of, "%", std::move(plot));
}

}  // namespace borealis
