#include "report/plot_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/not_a_number.h"
#include "report/html_parts.h"
#include "report/plot_script.h"

namespace borealis {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

PlotSpec data_plot(std::vector<PlotPoint> points) {
  PlotSpec plot;
  plot.id = plot.data_id = "loss";
  plot.x_label = "iteration";
  plot.series.push_back({"training", 0, false, false, std::move(points)});
  return plot;
}

json data_of(const PlotSpec& plot) {
  const std::string element = plot_data(plot);
  const size_t begin = element.find('>') + 1;
  return json::parse(element.substr(begin, element.rfind("</script>") - begin));
}

TEST(PlotData, HoldsThePointsAndTheGaps) {
  PlotSpec plot = data_plot({{1, 8.5}, {2, kNaN}, {123456789012, 3.25}});
  plot.marks = {2, 2};
  plot.marks_label = "skipped step";
  plot.y_most = 9;
  const json data = data_of(plot);
  EXPECT_EQ(data.at("x"), "iteration");
  EXPECT_EQ(data.at("y_most"), 9);
  EXPECT_EQ(data.at("marks"), json({2}));
  EXPECT_EQ(data.at("series").at(0).at("x"), json({1, 2, 123456789012}));
  EXPECT_EQ(data.at("series").at(0).at("y"), json({8.5, nullptr, 3.25}));
  EXPECT_TRUE(data_of(data_plot({})).at("y_most").is_null());
}

TEST(PlotData, StaysBoundedForALongRun) {
  std::vector<PlotPoint> points;
  PlotSpec plot;
  for (int at = 0; at < 100000; ++at) {
    points.push_back({static_cast<double>(at), 1e4 + std::sin(at * 0.1)});
  }
  plot = data_plot(points);
  for (int at = 0; at < 100000; ++at) plot.marks.push_back(at);
  const json data = data_of(plot);
  EXPECT_LE(data.at("series").at(0).at("x").size(), 2u * (kPlotDataBuckets + 1));
  EXPECT_LE(data.at("marks").size(), 2u * kPlotDataBuckets + 1);
  EXPECT_LT(plot_data(plot).size(), 25000u);
}

TEST(PlotData, NoLabelLeavesItsElement) {
  PlotSpec plot = data_plot({{1, 2}});
  const std::string attack = "</script><script>alert(1)</script><!-- & \" ' \\ \x1b \xff";
  plot.series[0].label = plot.marks_label = plot.x_label = attack;
  const std::string element = plot_data(plot);
  EXPECT_THAT(element, Not(HasSubstr("<script>")));
  EXPECT_EQ(element.find("</script"), element.rfind("</script"));
  EXPECT_THAT(element, Not(HasSubstr("<!--")));
  EXPECT_THAT(element, Not(HasSubstr("\x1b")));
  EXPECT_EQ(data_of(plot).at("series").at(0).at("label"),
            "</script><script>alert(1)</script><!-- & \" ' \\ \uFFFD \uFFFD");
}

TEST(InteractivePlot, OnlyAPageThatWantsItHasAScript) {
  const std::string begin = html_page_begin("a page", "");
  EXPECT_THAT(begin, Not(HasSubstr("<script")));
  EXPECT_THAT(html_page_end("1"), Not(HasSubstr("<script")));
  EXPECT_THAT(html_page_end("1", true), HasSubstr(plot_script()));
  PlotSpec plot = data_plot({{1, 2}, {2, 3}});
  plot.data_id.clear();
  EXPECT_THAT(responsive_plot(plot), Not(HasSubstr("data-plot")));
  const std::string drawn = interactive_plot(plot);
  EXPECT_THAT(drawn, HasSubstr("data-plot=\"loss\" data-frame=\""));
  EXPECT_THAT(drawn, HasSubstr("id=\"loss-narrow-title\""));
  EXPECT_EQ(drawn.find("<script"), drawn.rfind("<script")) << "one for both drawings";
}

TEST(PlotScript, FetchesNothingAndWritesNoMarkup) {
  const std::string script = plot_script();
  for (const char* word :
       {"eval", "Function(", "innerHTML", "outerHTML", "insertAdjacent", "fetch(", "XMLHttp",
        "import", "http", "document.write", "setTimeout", "</"}) {
    EXPECT_THAT(script, Not(HasSubstr(word)));
  }
}

}  // namespace
}  // namespace borealis
