#include "report/report_lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "base/units.h"

namespace borealis {
namespace {

constexpr size_t kSmoothFrom = 120;   // steps; fewer are readable as they are
constexpr size_t kSmoothPoints = 40;  // windows of a line

struct NamedUnit {
  double size;
  const char* name;
};
constexpr NamedUnit kTokenUnits[] = {
    {1e12, "trillions"}, {1e9, "billions"}, {1e6, "millions"}, {1e3, "thousands"}, {1, ""}};
constexpr NamedUnit kTimeUnits[] = {
    {3600e3, "hours"}, {60e3, "minutes"}, {1e3, "seconds"}, {1, "milliseconds"}};
constexpr double kLeastUnits = 5;  // on an axis, whose ticks are whole numbers

double value_of(const StepRecord& step, RunAxis axis) {
  switch (axis) {
    case RunAxis::kIterations:
      return static_cast<double>(step.iteration);
    case RunAxis::kTokens:
      return static_cast<double>(step.consumed_tokens);
    case RunAxis::kTrainingTime:
      break;
  }
  return step.training_ms;
}

AxisScale scaled(RunAxis axis, const std::string& quantity, double last,
                 std::span<const NamedUnit> units) {
  NamedUnit unit = units.back();
  for (const NamedUnit& one : units) {
    if (last < kLeastUnits * one.size) continue;
    unit = one;
    break;
  }
  const std::string_view name = unit.name;
  return {axis, unit.size, name.empty() ? quantity : fmt::format("{} ({})", quantity, name)};
}

int window_of(size_t points) { return static_cast<int>(points / kSmoothPoints) | 1; }

std::vector<PlotPoint> smooth(const std::vector<PlotPoint>& points, Smoothing smoothing) {
  const int window = window_of(points.size());  // odd: centred
  return smoothing == Smoothing::kMean ? running_mean(points, window)
                                       : block_medians(points, window);
}

}  // namespace

double AxisScale::of(const StepRecord& step) const { return value_of(step, axis) / unit; }

AxisScale axis_scale(const RunResults& results, RunAxis axis) {
  double last = value_of(results.steps.back(), axis);
  for (const OtherRun& other : results.others) {
    last = std::max(last, value_of(other.steps.back(), axis));
  }
  switch (axis) {
    case RunAxis::kIterations:
      return {axis, 1, "iteration"};
    case RunAxis::kTokens:
      return scaled(axis, "tokens trained on", last, kTokenUnits);
    case RunAxis::kTrainingTime:
      break;
  }
  return scaled(axis, "training time", last, kTimeUnits);
}

void add_line(std::vector<PlotSeries>& series, const std::string& label, int color,
              RunPoints points, Smoothing smoothing) {
  const size_t count = points.of_smooth_line.size();
  if (count < kSmoothFrom) {
    series.push_back({label, color, false, false, std::move(points.all)});
    return;
  }
  const char* kind = smoothing == Smoothing::kMean ? "mean" : "median";
  const std::string name = fmt::format("{} of {} steps", kind, format_count(window_of(count)));
  std::vector<PlotPoint> line = smooth(points.of_smooth_line, smoothing);
  series.push_back({label, color, true, false, std::move(points.all)});
  series.push_back({name, color, false, false, std::move(line)});
}

void add_overlaid_line(std::vector<PlotSeries>& series, const std::string& label, int color,
                       RunPoints points, Smoothing smoothing) {
  const bool is_long = points.of_smooth_line.size() >= kSmoothFrom;
  series.push_back({label, color, false, false,
                    is_long ? smooth(points.of_smooth_line, smoothing) : std::move(points.all)});
}

}  // namespace borealis
