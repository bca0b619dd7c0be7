#include "report/plot_scale.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "base/check.h"
#include "base/median.h"
#include "base/units.h"

namespace borealis {
namespace {

// The smallest of 1, 2, 5 x 10^n that is not below `raw`.
double round_step(double raw) {
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (raw <= factor * power * (1 + 1e-9)) return factor * power;
  }
  return 10 * power;
}

std::string tick_label(double value, double step) {
  const auto decimals = static_cast<int>(std::max(0.0, -std::floor(std::log10(step) + 1e-9)));
  if (decimals == 0 && std::abs(value) < 1e15) return format_count(std::llround(value));
  if (decimals > 6) return fmt::format("{:.3g}", value);
  return fmt::format("{:.{}f}", value, decimals);
}

void add_ticks(PlotAxis& axis, double step) {
  const double slack = std::min(step, axis.high - axis.low) * 1e-6;
  for (double n = std::ceil((axis.low - slack) / step); n * step <= axis.high + slack; ++n) {
    const double value = n == 0 ? 0.0 : n * step;  // no "-0"
    axis.ticks.push_back({value, tick_label(value, step)});
  }
}

// The lowest and highest y of one bucket, and whether it holds a point at all.
struct Extremes {
  std::optional<PlotPoint> lowest;
  std::optional<PlotPoint> highest;
  std::optional<PlotPoint> gap;

  void add(const PlotPoint& point) {
    if (!std::isfinite(point.y)) {
      gap = point;
      return;
    }
    if (!lowest || point.y < lowest->y) lowest = point;
    if (!highest || point.y > highest->y) highest = point;
  }
  void flush_to(std::vector<PlotPoint>& points) {
    if (!lowest) {
      if (gap) points.push_back(*gap);
    } else if (lowest->x == highest->x) {
      points.push_back(*lowest);
    } else {
      const bool rising = lowest->x < highest->x;
      points.push_back(rising ? *lowest : *highest);
      points.push_back(rising ? *highest : *lowest);
    }
    *this = {};
  }
};

}  // namespace

double PlotAxis::share(double value) const {
  if (logarithmic) return std::log(value / low) / std::log(high / low);
  return (value - low) / (high - low);
}

PlotAxis value_axis(double low, double high, int wanted_ticks) {
  CHECK(std::isfinite(low) && std::isfinite(high) && low <= high);
  if (low == high) {
    const double margin = low == 0 ? 1.0 : std::abs(low) * 0.1;
    if (low != 0) low -= margin;
    high += margin;
  }
  const double step = round_step((high - low) / std::max(1, wanted_ticks));
  PlotAxis axis;
  axis.low = std::floor(low / step + 1e-9) * step;
  axis.high = std::ceil(high / step - 1e-9) * step;
  add_ticks(axis, step);
  return axis;
}

PlotAxis log_axis(double low, double high, int wanted_ticks) {
  CHECK(low > 0 && std::isfinite(high) && low <= high);
  PlotAxis axis;
  axis.logarithmic = true;
  axis.low = low / 1.1;
  axis.high = high * 1.1;
  const int first = static_cast<int>(std::floor(std::log10(axis.low)));
  const int last = static_cast<int>(std::ceil(std::log10(axis.high)));
  const int decades = std::max(1, last - first);
  const bool fine = decades * 3 <= wanted_ticks * 2;
  const int stride = fine ? 1 : (decades + wanted_ticks - 1) / std::max(1, wanted_ticks);
  for (int exponent = first; exponent <= last; exponent += stride) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double value = factor * std::pow(10.0, exponent);
      if ((factor > 1 && !fine) || value < axis.low || value > axis.high) continue;
      axis.ticks.push_back({value, fmt::format("{:g}", value)});
    }
  }
  return axis;
}

PlotAxis count_axis(double low, double high, int wanted_ticks) {
  CHECK(std::isfinite(low) && std::isfinite(high) && low <= high);
  PlotAxis axis;
  if (low == high) {
    axis.low = low - 1;
    axis.high = high + 1;
    axis.ticks.push_back({low, tick_label(low, 1)});
    return axis;
  }
  axis.low = low;
  axis.high = high;
  add_ticks(axis, std::max(1.0, round_step((high - low) / std::max(1, wanted_ticks))));
  return axis;
}

std::vector<PlotPoint> thin_points(const std::vector<PlotPoint>& points, int buckets) {
  CHECK(buckets > 0);
  if (points.size() <= 2 * static_cast<size_t>(buckets)) return points;
  const double first = points.front().x;
  const double width = (points.back().x - first) / buckets;
  std::vector<PlotPoint> thinned;
  Extremes extremes;
  double current = 0;
  for (const PlotPoint& point : points) {
    const double bucket = std::floor((point.x - first) / width);
    if (bucket != current) extremes.flush_to(thinned);
    current = bucket;
    extremes.add(point);
  }
  extremes.flush_to(thinned);
  return thinned;
}

std::vector<PlotPoint> running_mean(const std::vector<PlotPoint>& points, int window) {
  CHECK(window > 0);
  // Prefix sums of the finite values: the mean of any stretch is one subtraction.
  std::vector<double> sum(points.size() + 1, 0.0);
  std::vector<int64_t> count(points.size() + 1, 0);
  for (size_t at = 0; at < points.size(); ++at) {
    const bool finite = std::isfinite(points[at].y);
    sum[at + 1] = sum[at] + (finite ? points[at].y : 0.0);
    count[at + 1] = count[at] + (finite ? 1 : 0);
  }
  const auto half = static_cast<size_t>(window / 2);
  std::vector<PlotPoint> means;
  means.reserve(points.size());
  for (size_t at = 0; at < points.size(); ++at) {
    const size_t begin = at < half ? 0 : at - half;
    const size_t end = std::min(points.size(), at + half + 1);
    const int64_t finite = count[end] - count[begin];
    const double mean = finite > 0 ? (sum[end] - sum[begin]) / static_cast<double>(finite)
                                   : std::numeric_limits<double>::quiet_NaN();
    means.push_back({points[at].x, mean});
  }
  return means;
}

std::vector<PlotPoint> block_medians(const std::vector<PlotPoint>& points, int block) {
  CHECK(block > 0);
  const auto length = static_cast<size_t>(block);
  std::vector<PlotPoint> medians;
  for (size_t begin = 0; begin < points.size(); begin += length) {
    const size_t end = std::min(points.size(), begin + length);
    std::vector<double> values;
    for (size_t at = begin; at < end; ++at) {
      if (std::isfinite(points[at].y)) values.push_back(points[at].y);
    }
    medians.push_back({points[(begin + end) / 2].x, values.empty()
                                                        ? std::numeric_limits<double>::quiet_NaN()
                                                        : median(std::move(values))});
  }
  return medians;
}

std::optional<double> axis_end_without_outliers(const std::vector<PlotPoint>& points) {
  constexpr double kShareBelow = 0.95;
  constexpr double kRoomAbove = 1.5;
  std::vector<double> values;
  double highest = 0;
  for (const PlotPoint& point : points) {
    if (!std::isfinite(point.y)) continue;
    highest = std::max(highest, point.y);
    if (&point != &points.front()) values.push_back(point.y);
  }
  if (values.empty()) return std::nullopt;
  const auto rank =
      static_cast<std::ptrdiff_t>(kShareBelow * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + rank, values.end());
  const double end = kRoomAbove * values[static_cast<size_t>(rank)];
  if (end <= 0 || highest <= end) return std::nullopt;
  return end;
}

}  // namespace borealis
