#include "report/report_overlay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "report/report_content.h"
#include "support/expect_error.h"
#include "support/fake_run.h"
#include "support/temporary_folder.h"

namespace borealis {
namespace {

using ::testing::HasSubstr;

class ReportOverlay : public ::testing::Test {
 protected:
  std::filesystem::path run(const std::string& name, int64_t steps,
                            const std::string& model = "borealis-mini") {
    const std::filesystem::path path = folder_.path() / name;
    FakeRun fake;
    fake.steps = steps;
    write_fake_run(path, fake);
    RunSummary summary = read_run_summary(path);
    summary.model_name = model;
    write_run_summary(path, summary);
    return path;
  }

  TemporaryFolder folder_;
};

TEST_F(ReportOverlay, NamesRunsByWhatTellsThemApart) {
  RunResults results = read_run_results(run("a/1", 300));
  add_other_runs({run("b/1", 200), run("c/2", 100)}, results);
  ASSERT_EQ(results.others.size(), 2u);
  EXPECT_EQ(results.others[0].label, "b/1");
  EXPECT_EQ(results.others[1].label, "c/2");
  RunResults models = read_run_results(run("a/1", 300));
  add_other_runs({run("a/2", 200, "llama3-<3B>")}, models);
  EXPECT_EQ(models.others[0].label, "llama3-<3B>, 2");
}

TEST_F(ReportOverlay, ShortensLongNamesAtACharacter) {
  RunResults results = read_run_results(run("a", 3));
  std::string name;
  for (int i = 0; i < 30; ++i) name += "θ";
  add_other_runs({run(name, 3)}, results);
  const std::string label = results.others[0].label;
  EXPECT_TRUE(label.starts_with("…θ")) << label;
  EXPECT_LE(label.size(), 43u);
}

TEST_F(ReportOverlay, EveryRunHasALineAndARowOfItsColour) {
  RunResults results = read_run_results(run("a", 300));
  add_other_runs({run("b", 200), run("c", 50)}, results);
  for (const PlotSpec& plot :
       {loss_plot(results, RunAxis::kTokens), tokens_per_second_plot(results)}) {
    ASSERT_GE(plot.series.size(), 3u);
    EXPECT_EQ(plot.series[0].label, "this run");
    EXPECT_EQ(plot.series[1].label, "b");
    EXPECT_EQ(plot.series[2].label, "c");
    for (int at = 0; at < 3; ++at) EXPECT_EQ(plot.series[static_cast<size_t>(at)].color, at);
  }
  const PlotSpec loss = loss_plot(results);
  EXPECT_EQ(loss.series.back().label, "this run's validation");
  EXPECT_FALSE(loss.series.back().line);
  const ReportTable table = overlay_table(results);
  ASSERT_EQ(table.rows.size(), 3u);
  EXPECT_EQ(table.rows[1][0], "b");
  EXPECT_EQ(table.rows[1][3], "819 200");
  const std::string html = render_report_html(results);
  EXPECT_THAT(html, HasSubstr("<caption>Runs in the plots</caption>"));
  EXPECT_THAT(render_report_markdown(results), HasSubstr("| b | borealis-mini | 200 | 819 200 |"));
}

TEST_F(ReportOverlay, RefusesWhatItCannotShow) {
  const std::filesystem::path first = run("a", 3), second = run("b", 3);
  RunResults results = read_run_results(first);
  EXPECT_ERROR(add_other_runs(std::vector(10, second), results), ErrorKind::kUsage,
               "11 runs are more than the 10");
  EXPECT_ERROR(add_other_runs({second, second}, results), ErrorKind::kUsage, "named twice");
  results = read_run_results(first);
  EXPECT_ERROR(add_other_runs({folder_.path() / "b" / ".." / "a"}, results), ErrorKind::kUsage,
               "named twice");
  EXPECT_ERROR(add_other_runs({folder_.path() / "none"}, results), ErrorKind::kFile, "none");
}

}  // namespace
}  // namespace borealis
