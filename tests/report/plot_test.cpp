#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/not_a_number.h"
#include "report/plot_scale.h"
#include "report/svg_plot.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> labels(const PlotAxis& axis) {
  std::vector<std::string> texts;
  for (const AxisTick& tick : axis.ticks) texts.push_back(tick.label);
  return texts;
}

TEST(PlotAxis, ValuesGetRoundTicksThatCoverThem) {
  const PlotAxis axis = value_axis(3.13, 8.91, 6);
  EXPECT_DOUBLE_EQ(axis.low, 3);
  EXPECT_DOUBLE_EQ(axis.high, 9);
  EXPECT_THAT(labels(axis), ElementsAre("3", "4", "5", "6", "7", "8", "9"));
  EXPECT_THAT(labels(value_axis(0.02, 0.11, 5)),
              ElementsAre("0.02", "0.04", "0.06", "0.08", "0.10", "0.12"));
  EXPECT_THAT(labels(value_axis(-0.3, 0.4, 4)), ElementsAre("-0.4", "-0.2", "0.0", "0.2", "0.4"));
}

TEST(PlotAxis, TicksStayWithinTheAxisWhateverTheRange) {
  for (const double low : {0.0, 1e-9, 0.999, 12345.678}) {
    for (const double width : {1e-10, 1e-3, 0.7, 33.0, 1e8}) {
      for (const PlotAxis& axis : {value_axis(low, low + width, 5), count_axis(low, low + width, 5),
                                   log_axis(low + 1e-12, low + 1e-12 + width, 5)}) {
        ASSERT_LE(axis.ticks.size(), 16u);
        for (const AxisTick& tick : axis.ticks) {
          EXPECT_GE(axis.share(tick.value), -1e-3);
          EXPECT_LE(axis.share(tick.value), 1 + 1e-3);
        }
      }
    }
  }
}

TEST(PlotAxis, ASingleValueStandsInTheMiddle) {
  const PlotAxis count = count_axis(1, 1, 5);
  EXPECT_DOUBLE_EQ(count.share(1), 0.5);
  EXPECT_THAT(labels(count), ElementsAre("1"));
  const PlotAxis value = value_axis(3.1292, 3.1292, 5);
  EXPECT_GT(value.share(3.1292), 0.2);
  EXPECT_LT(value.share(3.1292), 0.8);
  EXPECT_LT(value_axis(0, 0, 5).low, value_axis(0, 0, 5).high);
}

TEST(PlotAxis, CountsHaveWholeTicksAndAreNotWidened) {
  const PlotAxis axis = count_axis(1, 300, 6);
  EXPECT_DOUBLE_EQ(axis.low, 1);
  EXPECT_DOUBLE_EQ(axis.high, 300);
  EXPECT_THAT(labels(axis), ElementsAre("50", "100", "150", "200", "250", "300"));
  EXPECT_THAT(labels(count_axis(1, 3, 9)), ElementsAre("1", "2", "3"));
  EXPECT_THAT(labels(count_axis(1, 100000, 5)),
              ElementsAre("20 000", "40 000", "60 000", "80 000", "100 000"));
}

TEST(PlotAxis, DecadesOnALogScale) {
  const PlotAxis axis = log_axis(0.5, 80, 6);
  EXPECT_THAT(labels(axis), ElementsAre("0.5", "1", "2", "5", "10", "20", "50"));
  EXPECT_NEAR(axis.share(std::sqrt(axis.low * axis.high)), 0.5, 1e-12);
  EXPECT_THAT(labels(log_axis(1e-3, 1e5, 5)), Not(::testing::Contains("2")));
}

TEST(ThinPoints, KeepsEverySpikeAndEveryGap) {
  std::vector<PlotPoint> points;
  for (int at = 0; at < 100000; ++at) points.push_back({static_cast<double>(at), 1.0});
  points[54321].y = 50;
  points[65432].y = -50;
  for (int at = 80000; at < 82000; ++at) points[static_cast<size_t>(at)].y = kNaN;
  const std::vector<PlotPoint> thinned = thin_points(points, 500);
  EXPECT_LE(thinned.size(), 1002u);
  bool high = false;
  bool low = false;
  bool gap = false;
  for (size_t at = 0; at < thinned.size(); ++at) {
    if (at > 0) {
      EXPECT_LT(thinned[at - 1].x, thinned[at].x);
    }
    high |= thinned[at].x == 54321 && thinned[at].y == 50;
    low |= thinned[at].x == 65432 && thinned[at].y == -50;
    gap |= std::isnan(thinned[at].y);
  }
  EXPECT_TRUE(high);
  EXPECT_TRUE(low);
  EXPECT_TRUE(gap);
}

TEST(ThinPoints, LeavesShortLinesAlone) {
  const std::vector<PlotPoint> points = {{1, 2}, {2, kNaN}, {3, 4}};
  EXPECT_EQ(thin_points(points, 100).size(), 3u);
}

TEST(RunningMean, IsCentredAndIgnoresGaps) {
  const std::vector<PlotPoint> points = {{1, 2}, {2, 4}, {3, kNaN}, {4, 8}, {5, 10}};
  const std::vector<PlotPoint> means = running_mean(points, 3);
  ASSERT_EQ(means.size(), 5u);
  EXPECT_DOUBLE_EQ(means[0].y, 3);
  EXPECT_DOUBLE_EQ(means[1].y, 3);
  EXPECT_DOUBLE_EQ(means[2].y, 6);
  EXPECT_DOUBLE_EQ(means[3].y, 9);
  EXPECT_DOUBLE_EQ(means[4].y, 9);
  EXPECT_TRUE(std::isnan(running_mean({{1, kNaN}}, 3)[0].y));
}

TEST(BlockMedians, LeaveNoTraceOfAnOutlier) {
  const std::vector<PlotPoint> points = {{1, 2}, {2, 900}, {3, 4}, {4, kNaN}, {5, 6}};
  const std::vector<PlotPoint> medians = block_medians(points, 3);
  ASSERT_EQ(medians.size(), 2u);
  EXPECT_DOUBLE_EQ(medians[0].x, 2);
  EXPECT_DOUBLE_EQ(medians[0].y, 4);
  EXPECT_DOUBLE_EQ(medians[1].y, 6);
  EXPECT_TRUE(std::isnan(block_medians({{1, kNaN}}, 3)[0].y));
}

TEST(AxisEnd, LiesBelowWhatStandsOut) {
  std::vector<PlotPoint> points = {{1, 5000}};
  for (int at = 2; at <= 101; ++at) points.push_back({static_cast<double>(at), 100.0 + at % 10});
  const auto end = axis_end_without_outliers(points);
  ASSERT_TRUE(end);
  EXPECT_DOUBLE_EQ(*end, 1.5 * 109);
  points.front().y = 150;
  EXPECT_FALSE(axis_end_without_outliers(points));
  EXPECT_FALSE(axis_end_without_outliers({{1, 5000}}));
  EXPECT_FALSE(axis_end_without_outliers({{1, kNaN}, {2, kNaN}}));
}

PlotSpec plot_of(std::vector<PlotPoint> points) {
  PlotSpec spec;
  spec.id = "loss";
  spec.title = "Loss <by> iteration";
  spec.description = "It falls.";
  spec.x_label = "iteration";
  spec.y_label = "loss (nats)";
  spec.series.push_back({"training", 0, false, false, std::move(points)});
  return spec;
}

TEST(SvgPlot, HasTitleAndDescriptionForScreenReaders) {
  const std::string svg = render_plot(plot_of({{1, 5}, {2, 4}}), {});
  EXPECT_THAT(svg, HasSubstr(R"(role="img" aria-labelledby="loss-title loss-desc")"));
  EXPECT_THAT(svg, HasSubstr(R"(<title id="loss-title">Loss &lt;by&gt; iteration</title>)"));
  EXPECT_THAT(svg, HasSubstr(R"(<desc id="loss-desc">It falls.</desc>)"));
  EXPECT_THAT(svg, HasSubstr("loss (nats)"));
}

TEST(SvgPlot, BreaksTheLineAtAGapAndNeverPrintsNan) {
  const std::string svg = render_plot(plot_of({{1, 5}, {2, 4}, {3, kNaN}, {4, 3}, {5, 2}}), {});
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  const size_t start = svg.find(R"(<path class="line c0" d=")");
  ASSERT_NE(start, std::string::npos);
  const std::string path = svg.substr(start, svg.find("/>", start) - start);
  EXPECT_EQ(std::count(path.begin(), path.end(), 'M'), 2) << path;
  EXPECT_EQ(std::count(path.begin(), path.end(), 'L'), 2) << path;
}

TEST(SvgPlot, WhatLiesBeyondTheAxisStandsAtItsEnd) {
  PlotSpec plot = plot_of({{1, 5000}, {2, 100}, {3, 110}});
  plot.y_from_zero = true;
  plot.y_most = 150;
  const std::string svg = render_plot(plot, {});
  EXPECT_THAT(svg, HasSubstr(">150</text>"));
  EXPECT_THAT(svg, Not(HasSubstr("000</text>")));
  EXPECT_THAT(svg, HasSubstr("cy=\"30.0\" r=\"3.2\"><title>1: 5000<"));
}

TEST(SvgPlot, ALonePointIsADot) {
  EXPECT_THAT(render_plot(plot_of({{1, 5}}), {}), HasSubstr("<circle"));
  std::vector<PlotPoint> points;
  for (int at = 0; at < 300; ++at) {
    points.push_back({static_cast<double>(at), at == 100 ? 2.0 : kNaN});
  }
  EXPECT_THAT(render_plot(plot_of(points), {}), HasSubstr("<circle"));
}

TEST(SvgPlot, DrawsWithoutAnyFiniteValue) {
  const std::string svg = render_plot(plot_of({{1, kNaN}}), {});
  EXPECT_THAT(svg, HasSubstr("</svg>"));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
}

TEST(SvgPlot, StaysSmallForALongRun) {
  std::vector<PlotPoint> points;
  for (int at = 0; at < 100000; ++at) {
    points.push_back({static_cast<double>(at), std::sin(at * 0.1)});
  }
  EXPECT_LT(render_plot(plot_of(points), {}).size(), 60000u);
}

TEST(SvgPlot, AFileOfItsOwnHasNamespaceSizeAndStyle) {
  const std::string file = render_plot(plot_of({{1, 5}, {2, 4}}), {880, 350}, true);
  EXPECT_THAT(file, HasSubstr(R"(xmlns="http://www.w3.org/2000/svg")"));
  EXPECT_THAT(file, HasSubstr("prefers-color-scheme: dark"));
  EXPECT_THAT(file, HasSubstr(R"(width="880" height="350")"));
}

TEST(SvgPlot, StackedPartsFillTheirShareOfTheBar) {
  const std::string svg =
      render_stacked_bar("bar", "Parts", "Two parts.", {{"a & b", 1, 0}, {"c", 2, 1}}, 4);
  EXPECT_THAT(svg, HasSubstr(R"(x="0.00" width="250.00")"));
  EXPECT_THAT(svg, HasSubstr(R"(x="250.00" width="500.00")"));
  EXPECT_THAT(svg, HasSubstr("<title>a &amp; b</title>"));
}

}  // namespace
}  // namespace borealis
