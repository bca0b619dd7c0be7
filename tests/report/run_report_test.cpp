#include "report/run_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/folder_lock.h"
#include "support/expect_error.h"
#include "support/fake_run.h"
#include "support/temporary_folder.h"

namespace borealis {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Report {
  std::string html;
  std::string markdown;
  std::string loss_svg;
};

Report report_of(const FakeRun& run) {
  const TemporaryFolder folder;
  write_fake_run(folder.path(), run);
  const ReportPaths paths = write_run_report(folder.path());
  return {read_text_file(paths.html), read_text_file(paths.markdown),
          read_text_file(folder.path() / "loss.svg")};
}

// Every element is closed in order: what a browser would repair silently is our mistake.
::testing::AssertionResult well_nested(const std::string& html) {
  static const std::set<std::string> kVoid = {"meta",   "path",  "rect",
                                              "circle", "input", "!DOCTYPE"};
  std::vector<std::string> open;
  for (size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
    const bool closing = html[at + 1] == '/';
    const size_t start = at + (closing ? 2 : 1);
    const std::string name = html.substr(start, html.find_first_of(" >/\n", start) - start);
    if ((name == "style" || name == "script") && !closing) {
      at = html.find("</" + name + ">", at) - 1;
    }
    if (kVoid.contains(name)) continue;
    if (!closing) {
      open.push_back(name);
    } else {
      if (name == "style" && !open.empty() && open.back() != name) continue;
      if (open.empty() || open.back() != name) {
        return ::testing::AssertionFailure()
               << "</" << name << "> closes " << (open.empty() ? "nothing" : open.back());
      }
      open.pop_back();
    }
  }
  if (!open.empty()) return ::testing::AssertionFailure() << "<" << open.back() << "> stays open";
  return ::testing::AssertionSuccess();
}

std::set<std::string> repeated_ids(const std::string& html) {
  std::set<std::string> seen;
  std::set<std::string> repeated;
  const std::string mark = " id=\"";
  for (size_t at = html.find(mark); at != std::string::npos; at = html.find(mark, at + 1)) {
    const size_t start = at + mark.size();
    const std::string id = html.substr(start, html.find('"', start) - start);
    if (!seen.insert(id).second) repeated.insert(id);
  }
  return repeated;
}

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(RunReport, CarriesTheReportsColumnsAndTheExactCount) {
  const Report report = report_of({});
  EXPECT_THAT(report.markdown,
              HasSubstr("| model-arch | nlayers | model size (B) | tpgps | TFLOPs |\n"
                        "| :--- | ---: | ---: | ---: | ---: |\n"
                        "| borealis-mini | 6 | 0.0155 | 8528 | 0.803 |\n"));
  EXPECT_THAT(report.html, HasSubstr("15 533 184"));
  EXPECT_THAT(report.markdown, HasSubstr("| parameters | 15 533 184 |"));
}

TEST(RunReport, NamesAndWritesOutTheFormulaAndSaysWhatAGpuIs) {
  const Report report = report_of({});
  for (const std::string& text : {report.html, report.markdown}) {
    EXPECT_THAT(text, HasSubstr("LM formula of Megatron-DeepSpeed"));
    EXPECT_THAT(text, HasSubstr("L (2had + 2hkd + 3hf + 2ads) + Vh"));
    EXPECT_THAT(text, HasSubstr("0.0942 GFLOP a token"));
    EXPECT_THAT(text, HasSubstr("“per GPU” means per rank here"));
    EXPECT_THAT(text, HasSubstr("of the 1.23 TFLOP/s that matrix products alone reach"));
  }
}

TEST(RunReport, IsOneFileOfWellFormedMarkup) {
  const Report report = report_of({});
  EXPECT_TRUE(well_nested(report.html));
  EXPECT_TRUE(well_nested(report.loss_svg));
  EXPECT_TRUE(repeated_ids(report.html).empty());
  EXPECT_THAT(report.html, Not(HasSubstr("<script src")));
  EXPECT_THAT(report.html, Not(HasSubstr("eval(")));
  EXPECT_THAT(report.html, Not(HasSubstr("innerHTML")));
  EXPECT_THAT(report.html, Not(HasSubstr("http")));  // nothing is fetched from anywhere
  EXPECT_THAT(report.html, Not(HasSubstr("<link")));
  EXPECT_THAT(report.html, Not(HasSubstr("@import")));
  EXPECT_THAT(report.html, HasSubstr("prefers-color-scheme: dark"));
}

TEST(RunReport, ShowsEveryPartOfAStepAndOfTheMemory) {
  const Report report = report_of({});
  for (const char* part : {"forward", "backward", "optimizer", "data", "other"}) {
    EXPECT_THAT(report.markdown, HasSubstr(std::string("| ") + part + " | "));
  }
  EXPECT_THAT(report.markdown, Not(HasSubstr("| communication |")));  // one rank has none
  EXPECT_THAT(report.markdown, HasSubstr("| gradients (fp32) | 59.0 MiB |"));
  EXPECT_THAT(report.markdown, HasSubstr("| planned | 604.0 MiB |"));
  EXPECT_THAT(report.markdown, HasSubstr("| peak, measured | 617.0 MiB |"));
}

TEST(RunReport, MarksSkippedStepsAndSurvivesTheirNan) {
  FakeRun run;
  run.nan_steps = {1, 120, 121, 300};
  const Report report = report_of(run);
  EXPECT_THAT(report.html, HasSubstr("skipped step"));
  EXPECT_THAT(report.html, HasSubstr("class=\"mark\""));
  EXPECT_THAT(report.markdown, HasSubstr("| skipped steps | 4 "));
  EXPECT_THAT(report.loss_svg, Not(HasSubstr("nan")));
  EXPECT_THAT(report_of({}).html, Not(HasSubstr("class=\"mark\"")));
}

TEST(RunReport, SaysHowManyStepsItsMediansAreOver) {
  EXPECT_THAT(report_of({}).markdown, HasSubstr("medians over the 299 steps after the first."));
  FakeRun run;
  run.steps = 6;
  run.nan_steps = {1, 3, 4, 5};
  EXPECT_THAT(report_of(run).markdown,
              HasSubstr("medians over the 2 steps after the first; 3 skipped steps left out."));
  run.nan_steps = {2, 3, 4, 5, 6};
  EXPECT_THAT(report_of(run).markdown,
              HasSubstr("medians over the 5 steps after the first, all of them skipped."));
  const TemporaryFolder folder;
  write_fake_run(folder.path(), {});
  RunSummary summary = read_run_summary(folder.path());
  summary.resumed_at_iteration = 290;
  write_run_summary(folder.path(), summary);
  EXPECT_THAT(read_text_file(write_run_report(folder.path()).markdown),
              HasSubstr("over the 9 steps after the first since it went on from step 290."));
}

// summary.json as it stands from before the first step on; metrics.jsonl has the rest.
TEST(RunReport, WorksFromWhatARunHasWrittenSoFar) {
  const TemporaryFolder folder;
  write_fake_run(folder.path(), {});
  const RunSummary done = read_run_summary(folder.path());
  const std::string finished = read_text_file(write_run_report(folder.path()).markdown);
  RunSummary begun = done;
  begun.stopped_by.clear();
  begun.checkpoint.clear();
  begun.steps = begun.peak_memory_bytes = begun.skipped_iterations = 0;
  begun.tokens_per_gpu_per_second = begun.tflops = begun.gemm_tflops = begun.gemm_share = 0;
  begun.first_loss = begun.final_loss = begun.step_ms = begun.wall_time_s = 0;
  begun.time_to_first_step_s = 0;
  write_run_summary(folder.path(), begun);
  const ReportPaths paths = write_run_report(folder.path());
  const std::string cut_off = read_text_file(paths.markdown);
  EXPECT_THAT(cut_off, HasSubstr("This run was cut off"));
  EXPECT_THAT(read_text_file(paths.html), HasSubstr("This run was cut off"));
  EXPECT_THAT(cut_off, HasSubstr("peak not measured"));
  // The rates are those of the finished run.
  const std::string row = "| borealis-mini |";
  const auto results_of = [&](const std::string& text) {
    const size_t at = text.find(row);
    return text.substr(at, text.find('\n', at) - at);
  };
  EXPECT_EQ(results_of(cut_off), results_of(finished));
  {
    const FolderLock running(folder.path());
    EXPECT_THAT(read_text_file(write_run_report(folder.path()).markdown),
                HasSubstr("This run goes on"));
  }
  RunSummary failed = done;
  failed.stopped_by = "error";
  failed.failure = "numerics: it diverged";
  write_run_summary(folder.path(), failed);
  EXPECT_THAT(read_text_file(write_run_report(folder.path()).markdown),
              HasSubstr("This run failed: numerics: it diverged."));
}

TEST(RunReport, FitsRunsOfOneTwoAndThreeSteps) {
  for (const int64_t steps : {1, 2, 3}) {
    FakeRun run;
    run.steps = steps;
    run.validation_interval = 0;
    const Report report = report_of(run);
    EXPECT_TRUE(well_nested(report.html)) << steps;
    EXPECT_THAT(report.loss_svg, HasSubstr("<circle")) << steps;
    EXPECT_THAT(report.html, Not(HasSubstr("validation"))) << steps;
  }
  FakeRun one;
  one.steps = 1;
  EXPECT_THAT(report_of(one).markdown, HasSubstr("The run took a single step"));
}

TEST(RunReport, ARunWithoutOneGoodStepStillGetsAReport) {
  FakeRun run;
  run.steps = 2;
  run.nan_steps = {1, 2};
  const Report report = report_of(run);
  EXPECT_THAT(report.markdown, HasSubstr("not finite"));
  EXPECT_TRUE(well_nested(report.html));
}

TEST(RunReport, StaysSmallForALongRun) {
  FakeRun run;
  run.steps = 20000;
  run.validation_interval = 100;
  EXPECT_LT(report_of(run).html.size(), 400000u);
}

TEST(RunReport, ShowsForeignTextAsText) {
  const TemporaryFolder folder;
  write_fake_run(folder.path(), {});
  write_file_atomically(folder.path() / "sample.txt", "</pre><b>bold</b> ``` \xE2\x82");
  RunSummary summary = read_run_summary(folder.path());
  summary.model_name = "a<b>|c";
  summary.model_note = "<i>note</i>";
  write_run_summary(folder.path(), summary);
  const ReportPaths paths = write_run_report(folder.path());
  const std::string html = read_text_file(paths.html);
  EXPECT_TRUE(well_nested(html));
  EXPECT_THAT(html, HasSubstr("&lt;/pre&gt;&lt;b&gt;bold&lt;/b&gt;"));
  EXPECT_THAT(html, HasSubstr("<h1>a&lt;b&gt;|c</h1>"));
  const std::string markdown = read_text_file(paths.markdown);
  EXPECT_THAT(markdown, HasSubstr("````text\n</pre>"));
  EXPECT_THAT(markdown, HasSubstr("# a&lt;b>\\|c\n"));
}

TEST(RunReport, TellsWhatIsMissingOrBroken) {
  const TemporaryFolder folder;
  const std::filesystem::path run_dir = folder.path() / "run";
  EXPECT_ERROR(write_run_report(run_dir), ErrorKind::kFile, "run is not a folder");
  write_fake_run(run_dir, {});
  std::filesystem::remove(run_dir / kMetricsFileName);
  EXPECT_ERROR(write_run_report(run_dir), ErrorKind::kFile, "metrics.jsonl");
  write_file_atomically(run_dir / kMetricsFileName, "");
  EXPECT_ERROR(write_run_report(run_dir), ErrorKind::kData, "metrics.jsonl holds no step");
  std::filesystem::remove(run_dir / kSummaryFileName);
  EXPECT_ERROR(write_run_report(run_dir), ErrorKind::kFile, "summary.json does not exist");
  EXPECT_FALSE(std::filesystem::exists(run_dir / "report.html"));
}

TEST(RunReport, TableTakesAnyNumberOfRuns) {
  RunSummary small;
  small.model_name = "llama3-3B-nLayers4";
  small.num_hidden_layers = 4;
  small.parameters = 1975544832;
  small.tokens_per_gpu_per_second = 8018.19;
  small.tflops = 66.754745;
  RunSummary unmeasured = small;
  unmeasured.tflops = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(results_table_markdown({small, unmeasured}),
            "| model-arch | nlayers | model size (B) | tpgps | TFLOPs |\n"
            "| :--- | ---: | ---: | ---: | ---: |\n"
            "| llama3-3B-nLayers4 | 4 | 1.98 | 8018 | 66.75 |\n"
            "| llama3-3B-nLayers4 | 4 | 1.98 | 8018 | not measured |\n\n");
}

StepProfile fake_profile() {
  return {.first_iteration = 2,
          .steps = 3,
          .step_ms = 480,
          .gemm_flops_per_s = 1.2e12,
          .triad_bytes_per_s = 7e10,
          .kernels = {{"QKV <projection>", "products", 12, 300, 3.2e11, 4e8},
                      {"attention", "attention", 6, 100, 8e10, 2e8},
                      {"AdamW", "optimizer", 1, 50, 2e8, 5e8},
                      {"clear gradients", "clearing", 1, 10, 0, 6e7}}};
}

TEST(RunReport, ProfileIsATableAndARoofline) {
  const TemporaryFolder folder;
  write_fake_run(folder.path(), {});
  write_step_profile(folder.path(), fake_profile());
  const ReportPaths paths = write_run_report(folder.path());
  const std::string html = read_text_file(paths.html);
  EXPECT_TRUE(well_nested(html));
  EXPECT_TRUE(repeated_ids(html).empty());
  // 3.2e11 FLOPs in 300 ms are 1067 GFLOP/s, 88.9 % of 1.2e12.
  EXPECT_THAT(html, HasSubstr("1067"));
  EXPECT_THAT(html, HasSubstr("88.9\u00a0%"));
  EXPECT_THAT(html, HasSubstr("QKV &lt;projection&gt;: 1067 GFLOP/s"));
  EXPECT_THAT(html, HasSubstr("between kernels 4.2\u00a0%"));
  const std::string markdown = read_text_file(paths.markdown);
  EXPECT_THAT(markdown, HasSubstr("(roofline.svg)"));
  EXPECT_THAT(markdown, HasSubstr("| clear gradients | 1 | 10.00 | 2.1\u00a0% | – | – | – |"));
  const std::string roofline = read_text_file(folder.path() / "roofline.svg");
  EXPECT_TRUE(well_nested(roofline));
  // A dot in the drawing and one in the key a group that computes; clearing does not.
  EXPECT_GE(count_of(roofline, "<circle"), 6u);
  EXPECT_THAT(roofline, Not(HasSubstr("clearing")));
}

TEST(RunReport, TheLossStandsAboveTheThroughput) {
  const Report report = report_of({});
  for (const auto& [text, mark] : {std::pair{report.html, "<h2>"}, {report.markdown, "## "}}) {
    const size_t loss = text.find(std::string(mark) + "Loss");
    const size_t results = text.find(std::string(mark) + "Results");
    const size_t speed = text.find(std::string(mark) + "Throughput");
    EXPECT_LT(loss, results);
    EXPECT_LT(results, speed);
    EXPECT_NE(speed, std::string::npos);
  }
}

TEST(RunReport, ShowsTheLossByIterationTokensAndTimeWithoutAScript) {
  const std::string html = report_of({}).html;
  EXPECT_THAT(html,
              HasSubstr(R"(id="loss-by-0" checked><label for="loss-by-0">iteration</label>)"));
  EXPECT_THAT(html, HasSubstr(R"(<label for="loss-by-1">tokens</label>)"));
  EXPECT_THAT(html, HasSubstr(R"(<label for="loss-by-2">training time</label>)"));
  // 300 steps of 4096 tokens are 1.2 million; of half a second, more than two minutes.
  EXPECT_THAT(html, HasSubstr("tokens trained on (thousands)"));
  EXPECT_THAT(html, HasSubstr("training time (seconds)"));
  EXPECT_EQ(count_of(html, "class=\"panel\""), 3u);
}

TEST(RunReport, SlowStepsDoNotFlattenTheOthers) {
  const Report report = report_of({});
  // The first step and those behind a validation; the others take about 478 ms.
  EXPECT_THAT(report.html,
              HasSubstr("12 steps lie beyond the scale, up to 2079\u00a0ms (iteration 1)."));
  EXPECT_THAT(report.html, HasSubstr("median of 7 steps"));
  EXPECT_THAT(report.html, HasSubstr("% of the measured GEMM rate"));
  EXPECT_THAT(report.markdown, HasSubstr("Tokens per rank and second of each step; median 8528."));
}

TEST(RunReport, TwoValidationsOfAnIterationAreOneMark) {
  FakeRun run;
  run.steps = 50;
  run.validation_interval = 50;
  const TemporaryFolder folder;
  write_fake_run(folder.path(), run);
  const auto dots = [&] {
    return count_of(read_text_file(write_run_report(folder.path()).html),
                    "<circle class=\"dot c1\"");
  };
  const size_t one = dots();
  append_text_file(folder.path() / kValidationFileName,
                   validation_record_json({50, 3.25, 25.79, true}) + "\n");
  EXPECT_EQ(dots(), one);
  const std::string html = read_text_file(folder.path() / "report.html");
  EXPECT_THAT(html, HasSubstr("iteration 50: 3.2500 at the end, 3.3144 before"));
  EXPECT_THAT(html, HasSubstr("loss 3.2500, perplexity 25.79 (iteration 50)"));
}

TEST(RunReport, SaysWhichCommandRepeatsItAndWhatMadeTheData) {
  EXPECT_THAT(report_of({}).html, Not(HasSubstr("The command")));
  const TemporaryFolder folder;
  write_fake_run(folder.path(), {});
  RunSummary summary = read_run_summary(folder.path());
  summary.command = "cd /x &&\nDATA_PATH='<a> & b' \\\nborealis train\n";
  summary.architecture.push_back({kDataTokenizer, "data/kjv/tokenizer.json, 8192 entries"});
  write_run_summary(folder.path(), summary);
  const ReportPaths paths = write_run_report(folder.path());
  const std::string html = read_text_file(paths.html);
  EXPECT_THAT(html, HasSubstr("DATA_PATH='&lt;a&gt; &amp; b' \\\nborealis train\n</pre>"));
  EXPECT_THAT(html, HasSubstr("with version 0.1.0 (abcdef0) as borealis"));
  const std::string markdown = read_text_file(paths.markdown);
  EXPECT_THAT(markdown,
              HasSubstr("```bash\ncd /x &&\nDATA_PATH='<a> & b' \\\nborealis train\n```"));
  EXPECT_EQ(count_of(markdown, "| tokenizer of the data | data/kjv/tokenizer.json"), 2u);
}

TEST(RunReport, WithoutAProfileSaysNothingOfKernels) {
  EXPECT_THAT(report_of({}).html, Not(HasSubstr("<h2>Kernels</h2>")));
}

}  // namespace
}  // namespace borealis
