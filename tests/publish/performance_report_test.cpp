#include "publish/performance_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "model/flop_formulas.h"
#include "publish/raw_data.h"
#include "publish/report_files.h"
#include "publish/report_json.h"
#include "publish/report_plots.h"
#include "publish/report_tables.h"
#include "report/published_report.h"
#include "report/report_audit.h"
#include "support/expect_error.h"
#include "support/measured_runs.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

PerformanceReport report_of(std::vector<MeasuredRun> runs, std::vector<MemoryEnd> ends = {},
                            std::optional<double> peak = {}) {
  return make_performance_report({std::move(runs), std::move(ends)}, peak, "0.1.0 (abcdef0)");
}

std::vector<std::string> row_names(const PerformanceReport& report) {
  std::vector<std::string> names;
  for (const ResultRow& row : report.rows) {
    names.push_back(row.series() + " x " + std::to_string(row.layers));
  }
  return names;
}

TEST(PerformanceReport, RowsAreByFamilyAndLayers) {
  const PerformanceReport report =
      report_of({measured_run("b", 4, {10}), measured_run("a", 8, {10}), measured_run("a", 4, {10}),
                 measured_run("b", 2, {10}), measured_run("a", 8, {10})});
  EXPECT_THAT(row_names(report), ElementsAre("b x 2", "b x 4", "a x 4", "a x 8"));
  EXPECT_THAT(report.rows[3].runs, ElementsAre(1U, 4U));
}

TEST(PerformanceReport, AFigureIsTheMedianOfTheRunsMedians) {
  // 1024 tokens a step; medians of 10, 20 and 40 ms.
  const PerformanceReport report =
      report_of({measured_run("a", 4, {10, 5, 400}), measured_run("a", 4, {20}),
                 measured_run("a", 4, {30, 50})});
  ASSERT_EQ(report.rows.size(), 1U);
  const ResultRow& row = report.rows.front();
  EXPECT_DOUBLE_EQ(row.step_ms.median, 20);
  EXPECT_DOUBLE_EQ(row.step_ms.low, 5);
  EXPECT_DOUBLE_EQ(row.step_ms.high, 400);
  EXPECT_DOUBLE_EQ(row.tokens_per_gpu_per_second.median, 1024 / 0.020);
  EXPECT_DOUBLE_EQ(row.tokens_per_gpu_per_second.low, 1024 / 0.400);
  const double flops = flop_formula("lm").flops_per_token(report.runs.front().model, 128);
  EXPECT_NEAR(row.tflops.median, 1024 / 0.020 * flops * 1e-12, 1e-12);
  EXPECT_NEAR(row.gemm_share, row.tflops.median / 0.5, 1e-12);
  EXPECT_EQ(row.peak_bytes, 4004);
}

TEST(PerformanceReport, TellsApartWhatRunsOfAFamilyDifferIn) {
  MeasuredRun fp32 = measured_run("a", 4, {20});
  fp32.dtype = "fp32";
  MeasuredRun wide = measured_run("b", 4, {20});  // another family may have another shape
  wide.model.hidden_size = 512;
  wide.parameters = parameter_count(wide.model);
  const PerformanceReport report = report_of({measured_run("a", 4, {10}), fp32, wide});
  EXPECT_THAT(row_names(report),
              ElementsAre("a, DTYPE=bf16 x 4", "a, DTYPE=fp32 x 4", "b, DTYPE=bf16 x 4"));
}

TEST(PerformanceReport, TellsApartWhatChangesARunsRate) {
  const MeasuredRun plain = measured_run("a", 4, {10});
  MeasuredRun profiled = plain, one_thread = plain, all_threads = plain, other_order = plain;
  profiled.profiled = true;
  one_thread.threads = 1;
  all_threads.threads = plain.machine.cores;
  other_order.deterministic = false;
  ASSERT_GT(plain.machine.cores, 1);
  EXPECT_THAT(row_names(report_of({plain, profiled})),
              ElementsAre("a, --profile=0 x 4", "a, --profile=1 x 4"));
  EXPECT_THAT(row_names(report_of({plain, one_thread, all_threads})),
              ElementsAre("a, threads=all x 4", "a, threads=1 x 4"));
  EXPECT_THAT(row_names(report_of({plain, other_order})),
              ElementsAre("a, DETERMINISTIC=1 x 4", "a, DETERMINISTIC=0 x 4"));
}

TEST(PerformanceReport, TellsApartThePointsOfASweep) {
  const auto point = [](int64_t layers, const std::string& isa) {
    MeasuredRun run = measured_run("a", layers, {10});
    run.grid = {{"DTYPE", "bf16"}, {"BOREALIS_CPU_ISA", isa}};
    return run;
  };
  const std::vector<MeasuredRun> runs = {point(4, "avx2"), point(4, "native"), point(8, "native"),
                                         point(8, "native")};
  EXPECT_THAT(row_names(report_of(runs)),
              ElementsAre("a, BOREALIS_CPU_ISA=avx2 x 4", "a, BOREALIS_CPU_ISA=native x 4",
                          "a, BOREALIS_CPU_ISA=native x 8"));
  // Also of a report that is read again, and not where nothing has to be told apart.
  const PerformanceReport back = make_performance_report(
      parse_performance_json(performance_json(report_of(runs)), "r.json"), {}, "");
  EXPECT_EQ(row_names(back), row_names(report_of(runs)));
  EXPECT_THAT(row_names(report_of({point(4, "avx2"), point(8, "native")})),
              ElementsAre("a x 4", "a x 8"));
}

TEST(PerformanceReport, MachinesStandBesideEachOther) {
  MeasuredRun other = measured_run("a", 4, {20});
  other.machine.cpu_model = "Another CPU";
  other.machine.cores = 1;
  EXPECT_THAT(row_names(report_of({measured_run("a", 4, {10}), other})),
              ElementsAre("a, Some CPU, 2 cores x 4", "a, Another CPU, 1 core x 4"));
}

// Another trainer's log has neither.
TEST(PerformanceReport, WhatWasNotMeasuredIsNoZero) {
  MeasuredRun foreign = measured_run("a", 4, {10});
  foreign.planned_bytes = foreign.peak_bytes = 0;
  for (StepRecord& step : foreign.steps) step.forward_ms = step.backward_ms = 0;
  const PerformanceReport report = report_of({foreign, measured_run("a", 8, {10})});
  EXPECT_EQ(step_part_table(report).rows[0].back(), "not measured");
  EXPECT_EQ(step_part_table(report).rows[1].back(), "10.0");
  EXPECT_EQ(step_bars(report).size(), 1U);
  const PlotSpec memory = memory_plot(report);
  EXPECT_TRUE(std::isnan(memory.series[0].points[0].y));
  EXPECT_THAT(memory.description, HasSubstr("not measured at 4 layers"));
}

// A line of the plot is of one configuration.
TEST(PerformanceReport, ScalingIsOfWhatDiffersInRanksAlone) {
  std::vector<MeasuredRun> runs;
  for (const int64_t ranks : {1, 2}) {
    for (const int64_t stage : {0, 2}) {
      runs.push_back(measured_run("a", 4, {stage == 0 ? 10.0 : 20.0}));
      runs.back().world_size = ranks;
      runs.back().zero_stage = stage;
    }
  }
  runs.push_back(measured_run("a", 4, {5}));  // on one rank alone
  runs.back().dtype = "fp32";
  const auto plot = scaling_plot(report_of(runs));
  ASSERT_TRUE(plot);
  ASSERT_EQ(plot->series.size(), 4U);
  EXPECT_EQ(plot->series[0].label, "a, 4 layers, 2 x 4 a rank, ZERO_STAGE 0");
  EXPECT_EQ(plot->series[2].label, "a, 4 layers, 2 x 4 a rank, ZERO_STAGE 2");
  EXPECT_DOUBLE_EQ(plot->series[0].points[0].y, 1024 / 0.010);
  EXPECT_DOUBLE_EQ(plot->series[2].points[1].y, 2 * 1024 / 0.020);
}

TEST(PerformanceReport, MfuIsAgainstTheGivenPeak) {
  const PerformanceReport report = report_of({measured_run("a", 4, {10})}, {}, 2.0);
  EXPECT_DOUBLE_EQ(report.rows.front().mfu, report.rows.front().tflops.median / 2);
  const ReportTable table = performance_table(report);
  EXPECT_EQ(table.header.back(), "MFU");
  EXPECT_EQ(table.rows.front().size(), table.header.size());
}

TEST(PerformanceReport, SaysWhatAllRunsHaveInCommon) {
  const PerformanceReport report =
      report_of({measured_run("a", 4, {10}), measured_run("a", 8, {10})});
  EXPECT_EQ(common_settings_text(report), "SEQ: 128\n");
}

TEST(PerformanceReport, SaysWhereLongRunsCountInPart) {
  MeasuredRun run = measured_run("a", 4, {10, 20, 30});
  EXPECT_THAT(render_performance_markdown(report_of({run})),
              HasSubstr("Together that is 3 steps."));
  run.step_stride = 2;
  const std::string text = render_performance_markdown(report_of({run}));
  EXPECT_THAT(text, HasSubstr("Together that is 3 steps, of long runs a part of them."));
}

TEST(CrossChecks, FindNothingInASoundRun) {
  const PerformanceReport report = report_of({measured_run("a", 4, {10, 11})});
  EXPECT_THAT(report.disagreements, IsEmpty());
  EXPECT_EQ(report.checks, 6);  // five of the run, one of the row
}

TEST(CrossChecks, FindFiguresThatDisagree) {
  MeasuredRun rate = measured_run("a", 4, {10, 11});
  rate.steps[1].tokens_per_gpu_per_second *= 1.01;
  MeasuredRun flops = measured_run("a", 8, {10});
  flops.steps[0].tflops *= 0.99;
  MeasuredRun size = measured_run("a", 12, {10});
  ++size.parameters;
  MeasuredRun batch = measured_run("a", 16, {10});
  batch.global_batch_size = 16;
  MeasuredRun version = measured_run("a", 8, {10});
  version.version = "0.2.0";
  const PerformanceReport report = report_of({rate, flops, size, batch, version});
  std::vector<std::string> texts;
  for (const Disagreement& one : report.disagreements) texts.push_back(one.text);
  EXPECT_THAT(texts, ElementsAre(HasSubstr("per GPU and second of step 3 are"),
                                 HasSubstr("by the step's time"), HasSubstr("TFLOPs of step 3"),
                                 HasSubstr("TFLOPs of step 2"), HasSubstr("parameters as logged"),
                                 HasSubstr("global batch is 16 as logged, 8"),
                                 HasSubstr("of 2 versions of the program")));
}

TEST(CrossChecks, FindAStepThatTookNoTime) {
  MeasuredRun run = measured_run("a", 4, {10, 11});
  run.steps[1].elapsed_ms = 0;
  const PerformanceReport report = report_of({run});
  ASSERT_EQ(report.disagreements.size(), 1U);
  EXPECT_THAT(report.disagreements[0].text,
              HasSubstr("of step 3 are 93090.9 logged, inf by the step's time"));
}

TEST(RawData, IsWhatTheCheckOfPublishedReportsReads) {
  MeasuredRun repeat = measured_run("llama3-3B", 4, {12, 12});
  std::vector<MeasuredRun> runs = {measured_run("llama3-3B", 4, {10, 10}), repeat,
                                   measured_run("llama3-8B", 6, {20, 20})};
  runs.back().machine.cpu_model = "Some CPU";
  const std::string text = render_performance_markdown(report_of(std::move(runs)));
  const PublishedReport published = parse_published_report(text, "report.md");
  EXPECT_EQ(published.rows.size(), 2U);
  EXPECT_EQ(published.lists.size(), 4U);
  for (const PublishedList& list : published.lists) EXPECT_EQ(list.runs.size(), 3U) << list.title;
  // Repeats of one second are told apart.
  EXPECT_NE(published.lists[0].runs[0].stamp, published.lists[0].runs[1].stamp);
  for (const AuditFinding& finding : audit_report(published, std::nullopt)) {
    ADD_FAILURE() << finding.kind << ": " << finding.text;
  }
}

TEST(ReportJson, GivesTheRunsBack) {
  MeasuredRun run = measured_run("a", 4, {10, 12.5});
  run.gemm_tflops = std::numeric_limits<double>::quiet_NaN();
  run.steps[0].lm_loss = std::numeric_limits<double>::infinity();
  const PerformanceReport report =
      report_of({run, measured_run("b", 2, {3})},
                {{"a", "DTYPE=fp32", 16, "does_not_fit", "needs 3 GiB", 3000, 2000}});
  const std::string text = performance_json(report);
  ReportSources back = parse_performance_json(text, "report.json");
  EXPECT_EQ(back.runs.size(), 2U);
  EXPECT_EQ(back.runs[0].model.head_dim, 64);
  EXPECT_EQ(back.runs[0].steps[1].elapsed_ms, 12.5);
  EXPECT_EQ(back.memory_ends.front().limit_bytes, 2000);
  EXPECT_EQ(performance_json(make_performance_report(std::move(back), {}, report.version)), text);
}

TEST(ReportJson, RefusesWhatIsNone) {
  const std::string sound = performance_json(report_of({measured_run("a", 4, {10})}));
  EXPECT_ERROR(parse_performance_json("{}", "x.json"), ErrorKind::kData,
               "x.json is not a performance report's report.json");
  EXPECT_ERROR(parse_performance_json("[", "x.json"), ErrorKind::kData, "x.json");
  const auto with = [&sound](const std::string& from, const std::string& to) {
    std::string text = sound;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  EXPECT_ERROR(parse_performance_json(with("\"format_version\": 1", "\"format_version\": 9"), "x"),
               ErrorKind::kData, "another kind or version");
  EXPECT_ERROR(parse_performance_json(with("\"head_dim\": 64", "\"head_dim\": 0"), "x"),
               ErrorKind::kData, "a model with head_dim 0 has no shape");
  EXPECT_ERROR(parse_performance_json(
                   with("\"elapsed_ms\": [\n     10.0\n    ]", "\"elapsed_ms\": []"), "x"),
               ErrorKind::kData, "x");
}

TEST(ReportFiles, EscapeNamesOfAnyOrigin) {
  MeasuredRun run = measured_run("<b>\"a\" & |c|", 4, {10});
  run.machine.cpu_model = "<script>x</script>";
  run.settings.push_back({"--note", "```\n<script>y</script>"});
  const PerformanceReport report =
      report_of({run}, {{"<i>", "", 8, "killed", "<script>z</script>", 1, 1}});
  const std::string html = render_performance_html(report);
  for (const char* foreign : {"<script>x", "<script>y", "<script>z"}) {
    EXPECT_THAT(html, Not(HasSubstr(foreign)));
  }
  EXPECT_THAT(html, HasSubstr("id=\"losses-data\""));
  EXPECT_THAT(html, Not(HasSubstr("<b>")));
  EXPECT_THAT(html, HasSubstr("&lt;b&gt;&quot;a&quot; &amp; |c|"));
  EXPECT_THAT(render_performance_markdown(report), HasSubstr("````yaml\nSEQ: 128"));
}

TEST(ReportFiles, CsvQuotesWhatHasCommas) {
  MeasuredRun run = measured_run("a, \"b\"", 4, {10});
  MeasuredRun formula = measured_run("=1+1", 4, {10});
  const std::string csv =
      performance_csv(report_of({run, formula}, {{"a", "", 8, "does_not_fit", "", 3000, 2000}}));
  EXPECT_THAT(csv, HasSubstr("\n\"a, \"\"b\"\"\",4,"));
  EXPECT_THAT(csv, HasSubstr("\n'=1+1,4,"));
  EXPECT_THAT(csv, HasSubstr("\na,8,,does_not_fit,"));
  EXPECT_THAT(csv, HasSubstr(",3000,,2000\n"));
  const auto count_commas = [](std::string_view line) { return std::ranges::count(line, ','); };
  const std::string_view text = csv;
  const size_t first = text.find('\n'), last = text.rfind('\n', text.size() - 2);
  EXPECT_EQ(count_commas(text.substr(0, first)), count_commas(text.substr(last + 1)));
}

TEST(ReportTables, SayWhereMemoryEnds) {
  const PerformanceReport report =
      report_of({measured_run("a", 4, {10})},
                {{"a", "", 8, "does_not_fit", "", int64_t{3} << 30, int64_t{2} << 30},
                 {"a", "", 12, "beyond_memory", "", 0, 0},
                 {"b", "DTYPE=fp32", 6, "killed", "", 0, 0},
                 {"c", "", 2, "does_not_fit", "", 1000, 1010}});
  EXPECT_EQ(memory_end_sentence(report),
            "Out of memory: a at 8 layers (refused by the plan: 3.00 GiB planned of 2.00 GiB); b "
            "(DTYPE=fp32) at 6 layers (killed by the system); c at 2 layers (refused by the plan: "
            "1000 B planned of 1010 B, a part of which is kept free).");
  EXPECT_EQ(memory_end_table(report).rows.size(), 4U);
}

}  // namespace
}  // namespace borealis
