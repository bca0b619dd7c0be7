#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/report_lines.h"

namespace borealis {
namespace {

constexpr size_t kMarkersUpTo = 60;  // validations

// Where an iteration lies on the axis; between two steps of a series that holds a part of them.
double position_of(const std::vector<StepRecord>& steps, int64_t iteration, const AxisScale& x) {
  if (x.axis == RunAxis::kIterations) return static_cast<double>(iteration);
  const auto after = std::ranges::lower_bound(steps, iteration, {}, &StepRecord::iteration);
  if (after == steps.end()) return x.of(steps.back());
  if (after->iteration == iteration || after == steps.begin()) return x.of(*after);
  const StepRecord& before = *(after - 1);
  const auto first = static_cast<double>(before.iteration);
  const double share =
      (static_cast<double>(iteration) - first) / (static_cast<double>(after->iteration) - first);
  const double position = x.of(before) + share * (x.of(*after) - x.of(before));
  return std::isfinite(position) ? position : x.of(*after);  // steps of a damaged file
}

// One point an iteration: the last step may have a validation at its interval and one at the end,
// of which the latter, over more samples, is drawn.
std::vector<PlotPoint> validation_points(const RunResults& results, const AxisScale& x) {
  std::vector<PlotPoint> points;
  const ValidationRecord* previous = nullptr;
  for (const ValidationRecord& record : results.validations) {
    PlotPoint point{position_of(results.steps, record.iteration, x), record.lm_loss,
                    fmt::format("iteration {}: {:.4f}", record.iteration, record.lm_loss)};
    if (previous != nullptr && previous->iteration == record.iteration) {
      point.label += fmt::format(" at the end, {:.4f} before", previous->lm_loss);
      points.back() = std::move(point);
    } else {
      points.push_back(std::move(point));
    }
    previous = &record;
  }
  return points;
}

std::vector<double> skipped_positions(const RunResults& results, const AxisScale& x) {
  std::vector<double> skipped;
  for (const StepRecord& step : results.steps) {
    if (step.skipped) skipped.push_back(x.of(step));
  }
  return skipped;
}

}  // namespace

PlotSpec loss_plot(const RunResults& results, RunAxis axis) {
  const AxisScale x = axis_scale(results, axis);
  PlotSpec plot;
  plot.id = axis == RunAxis::kIterations ? "loss"
            : axis == RunAxis::kTokens   ? "loss-by-tokens"
                                         : "loss-by-time";
  plot.title = "Loss by " + x.label;
  plot.description = loss_sentence(results);
  plot.x_label = x.label;
  plot.y_label = "cross entropy (nats per token)";
  add_lines(
      results, x, "training", 0, Smoothing::kMean,
      [](const StepRecord& step) { return step.lm_loss; }, plot.series);
  if (!results.validations.empty()) {
    const bool alone = results.others.empty();
    PlotSeries validation{alone ? "validation" : "this run's validation", alone ? 1 : 0, false,
                          false, validation_points(results, x)};
    const bool few = validation.points.size() <= kMarkersUpTo;
    validation.markers = few;
    // Among other runs' lines its own would pass for one of them.
    validation.line = alone || !few;
    validation.faint = !alone && !few;
    plot.series.push_back(std::move(validation));
  }
  plot.marks = skipped_positions(results, x);
  plot.marks_label = "skipped step";
  return plot;
}

}  // namespace borealis
