#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/not_a_number.h"
#include "report/report_lines.h"

namespace borealis {
namespace {

constexpr double kLogFromRatio = 30;

std::string superscript(int exponent) {
  static constexpr const char* kDigits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string text;
  for (const char digit : std::to_string(exponent)) {
    text += digit == '-' ? "⁻" : kDigits[digit - '0'];
  }
  return text;
}

}  // namespace

PlotSpec learning_rate_plot(const RunResults& results) {
  PlotSpec plot;
  plot.id = "learning-rate";
  plot.title = "Learning rate by iteration";
  plot.x_label = "iteration";
  plot.y_from_zero = true;
  double highest = 0;
  for (const StepRecord& step : results.steps) {
    if (std::isfinite(step.learning_rate)) highest = std::max(highest, step.learning_rate);
  }
  // Ticks are small numbers, their power of ten stands in the label.
  const int exponent = highest > 0 ? static_cast<int>(std::floor(std::log10(highest))) : -4;
  const double unit = std::pow(10.0, exponent);
  plot.y_label = fmt::format("learning rate (× 10{})", superscript(exponent));
  plot.description =
      results.steps.size() == 1
          ? fmt::format("Learning rate of the step: {:.3g}.", highest)
          : fmt::format("Learning rate of each step; highest {:.3g}, last {:.3g}.", highest,
                        results.steps.empty() ? 0.0 : results.steps.back().learning_rate);
  plot.series.push_back(
      {"learning rate", 2, false, false,
       points_of(results.steps, axis_scale(results, RunAxis::kIterations), false,
                 [unit](const StepRecord& step) { return step.learning_rate / unit; })});
  return plot;
}

std::optional<PlotSpec> grad_norm_plot(const RunResults& results) {
  PlotSpec plot;
  plot.id = "grad-norm";
  plot.title = "Gradient norm by iteration";
  plot.x_label = "iteration";
  plot.y_label = "gradient norm before clipping";
  RunPoints points =
      run_points(results.steps, axis_scale(results, RunAxis::kIterations), false,
                 [](const StepRecord& step) { return step.grad_norm.value_or(kNaN); });
  double lowest = std::numeric_limits<double>::infinity();
  double highest = 0;
  for (const PlotPoint& point : points.all) {
    if (!std::isfinite(point.y)) continue;
    lowest = std::min(lowest, point.y);
    highest = std::max(highest, point.y);
  }
  if (lowest > highest) return std::nullopt;
  plot.log_y = lowest > 0 && highest / lowest > kLogFromRatio;
  if (plot.log_y) plot.y_label += " (log scale)";
  plot.description = lowest == highest
                         ? fmt::format("Norm of the gradient: {:.3g}.", lowest)
                         : fmt::format("Norm of each step's gradient; between {:.3g} and {:.3g}.",
                                       lowest, highest);
  plot.y_from_zero = true;
  add_line(plot.series, "each step", 4, std::move(points));
  return plot;
}

}  // namespace borealis
