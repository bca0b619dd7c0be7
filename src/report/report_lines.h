// Lines over the steps of runs, as the plots of a run's report have them.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "report/report_content.h"

namespace borealis {

// How an axis of x is written: its quantity over `unit`.
struct AxisScale {
  RunAxis axis = RunAxis::kIterations;
  double unit = 1;
  std::string label;  // "tokens trained on (millions)"

  double of(const StepRecord& step) const;
};
// One that suits the run and those laid over it.
AxisScale axis_scale(const RunResults& results, RunAxis axis);

// A point a step. A skipped step, whose value is none, is a gap with `without_skipped`.
template <typename Value>
std::vector<PlotPoint> points_of(const std::vector<StepRecord>& steps, const AxisScale& x,
                                 bool without_skipped, Value value) {
  std::vector<PlotPoint> points;
  points.reserve(steps.size());
  for (const StepRecord& step : steps) {
    const bool is_gap = without_skipped && step.skipped;
    points.push_back({x.of(step), is_gap ? std::numeric_limits<double>::quiet_NaN() : value(step)});
  }
  return points;
}

// Of a long run those that stand out are points, and no part of a mean.
struct RunPoints {
  std::vector<PlotPoint> all, of_smooth_line;
};
template <typename Value>
RunPoints run_points(const std::vector<StepRecord>& steps, const AxisScale& x, bool without_skipped,
                     Value value) {
  RunPoints points{points_of(steps, x, without_skipped, value), {}};
  for (size_t i = 0; i < steps.size(); ++i) {
    if (!steps[i].stands_out) points.of_smooth_line.push_back(points.all[i]);
  }
  return points;
}

enum class Smoothing {
  kMean,    // of a window around every step
  kMedian,  // of steps one behind the other: outliers leave no trace
};
// The line itself, or for a long run a faint line under a smooth one.
void add_line(std::vector<PlotSeries>& series, const std::string& label, int color,
              RunPoints points, Smoothing smoothing = Smoothing::kMean);
// One of several: a single line, smooth for a long run.
void add_overlaid_line(std::vector<PlotSeries>& series, const std::string& label, int color,
                       RunPoints points, Smoothing smoothing);

// Lines of the run and of those laid over it, each run a colour of its own.
template <typename Value>
void add_lines(const RunResults& results, const AxisScale& x, const std::string& label, int color,
               Smoothing smoothing, Value value, std::vector<PlotSeries>& series) {
  if (results.others.empty()) {
    add_line(series, label, color, run_points(results.steps, x, true, value), smoothing);
    return;
  }
  add_overlaid_line(series, "this run", 0, run_points(results.steps, x, true, value), smoothing);
  int next = 1;
  for (const OtherRun& other : results.others) {
    add_overlaid_line(series, other.label, next++ % kPlotColors,
                      run_points(other.steps, x, true, value), smoothing);
  }
}

}  // namespace borealis
