// Axes and point thinning for plots: numbers only, no drawing.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace borealis {

struct PlotPoint {
  double x = 0;
  double y = 0;            // NaN: a gap
  std::string label = {};  // what the pointer sees on its dot; empty: the two numbers
};

struct AxisTick {
  double value = 0;
  std::string label;
};

struct PlotAxis {
  double low = 0;
  double high = 1;  // > low
  bool logarithmic = false;
  std::vector<AxisTick> ticks;  // ascending, within [low, high]

  double share(double value) const;  // 0 at low, 1 at high
};

// Covers [low, high] with about `wanted_ticks` round ticks (1, 2 or 5 times a power of ten). The
// value axis is widened to its outer ticks; a range of one value is widened around it.
PlotAxis value_axis(double low, double high, int wanted_ticks);
// As value_axis for low > 0, with ticks at 1, 2, 5 of each decade, or at decades only if many.
PlotAxis log_axis(double low, double high, int wanted_ticks);
// Whole numbers such as iterations: not widened; a single one gets the middle.
PlotAxis count_axis(double low, double high, int wanted_ticks);

// At most about 2 x `buckets` points that draw the same picture: of every bucket of x the lowest
// and the highest y in their order, so that no spike is lost. Gaps stay gaps where a whole bucket
// is one. `points` ascend in x.
std::vector<PlotPoint> thin_points(const std::vector<PlotPoint>& points, int buckets);

// Mean over `window` points centred on each (fewer at the ends), gaps left out.
std::vector<PlotPoint> running_mean(const std::vector<PlotPoint>& points, int window);

// Median over each `block` points one behind the other (fewer at the end), gaps left out, at the
// middle one's x. A block of gaps is one.
std::vector<PlotPoint> block_medians(const std::vector<PlotPoint>& points, int block);

// Where a value axis may end so that a few large values do not flatten the others: 1.5 times the
// 95th percentile of all points but the first, of a line that begins with start-up. None if no
// point lies beyond that.
std::optional<double> axis_end_without_outliers(const std::vector<PlotPoint>& points);

}  // namespace borealis
