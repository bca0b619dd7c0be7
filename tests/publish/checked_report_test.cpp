// Reports of ours, as the check of published reports reads them: what they say is consistent, and
// what was changed in them is found.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "publish/performance_report.h"
#include "publish/report_files.h"
#include "report/published_report.h"
#include "report/report_audit.h"
#include "support/measured_runs.h"

namespace borealis {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A run of three steps, the first of which does not count.
MeasuredRun run_of(const std::string& family, int64_t layers, double ms) {
  MeasuredRun run = measured_run(family, layers, {ms, 1.1 * ms});
  run.settings = {{"SEQ", "128"},        {"MICRO_BATCH", "2"}, {"GRAD_ACC_STEPS", "4"},
                  {"GLOBAL_BATCH", "8"}, {"WORLD_SIZE", "1"},  {"TRAIN_ITERS", "3"}};
  return run;
}

std::string markdown_of(std::vector<MeasuredRun> runs, std::vector<MemoryEnd> ends = {}) {
  return render_performance_markdown(
      make_performance_report({std::move(runs), std::move(ends)}, {}, "0.1.0 (abcdef0)"));
}

std::vector<std::string> findings_in(const std::string& text) {
  std::vector<std::string> texts;
  for (const AuditFinding& one :
       audit_report(parse_published_report(text, "report.md"), std::nullopt)) {
    texts.push_back(fmt::format("{}: {}", one.kind, one.text));
  }
  return texts;
}

// Two depths and two runs each, of which every second is changed.
template <typename Change>
std::vector<MeasuredRun> runs_with(const Change& change) {
  std::vector<MeasuredRun> runs;
  for (const int64_t layers : {2, 4}) {
    for (const double ms : {10.0, 20.0}) {
      for (int repeat = 0; repeat < 2; ++repeat) {
        MeasuredRun run = run_of("custom", layers, ms * static_cast<double>(layers) + repeat);
        if (ms > 15) change(run);
        run.settings.clear();  // what is common to all is tested below
        runs.push_back(std::move(run));
      }
    }
  }
  return runs;
}

void set_shape(MeasuredRun& run, int64_t hidden) {
  run.model.hidden_size = hidden;
  run.parameters = parameter_count(run.model);
  const double flops = flops_per_token(run.model, run.seq_length);
  for (StepRecord& step : run.steps) step.tflops = step.tokens_per_gpu_per_second * flops * 1e-12;
}

void set_batch(MeasuredRun& run, int64_t micro_batch, int64_t accumulation, int64_t world_size) {
  run.micro_batch_size = micro_batch;
  run.grad_accum_steps = accumulation;
  run.world_size = world_size;
  run.global_batch_size = micro_batch * accumulation * world_size;
}

TEST(CheckedReport, RowsMayDifferInAnything) {
  EXPECT_THAT(findings_in(markdown_of({run_of("a", 2, 10)})), IsEmpty());
  EXPECT_THAT(findings_in(markdown_of({run_of("a", 2, 10), run_of("a", 2, 12), run_of("b", 4, 20)},
                                      {{"a", "", 8, "killed", "no memory", 3000, 2000}})),
              IsEmpty());
  const auto check = [](const char* what, const auto& change) {
    const std::string text = markdown_of(runs_with(change));
    EXPECT_THAT(findings_in(text), IsEmpty()) << what;
    EXPECT_THAT(text, HasSubstr("| configuration |")) << what;
  };
  check("type", [](MeasuredRun& run) { run.dtype = "fp32"; });
  check("instruction set", [](MeasuredRun& run) { run.isa = "AVX-512 (Highway), amx_bf16, x"; });
  check("recompute", [](MeasuredRun& run) { run.recompute = true; });
  check("ZeRO", [](MeasuredRun& run) { run.zero_stage = 3; });
  check("micro batch", [](MeasuredRun& run) { set_batch(run, 8, 4, 1); });
  check("accumulation", [](MeasuredRun& run) { set_batch(run, 2, 1, 1); });
  check("ranks", [](MeasuredRun& run) { set_batch(run, 2, 4, 2); });
  check("ranks of one batch", [](MeasuredRun& run) { set_batch(run, 2, 2, 2); });
  const auto share = [](MeasuredRun& run, int64_t accumulation) {
    set_batch(run, 2, accumulation, 2);
    run.sequence_parallel_size = 2;
    run.global_batch_size /= 2;
  };
  check("ranks that share sequences", [&](MeasuredRun& run) { share(run, 4); });
  check("ranks of one batch that share sequences", [&](MeasuredRun& run) { share(run, 2); });
  check("width", [](MeasuredRun& run) { set_shape(run, 512); });
  check("machine", [](MeasuredRun& run) { run.machine.cpu_model = "Another_CPU [9], 2"; });
  check("cores", [](MeasuredRun& run) { run.machine.cores = 64; });
  check("no machine", [](MeasuredRun& run) { run.machine = {}; });
  check("threads", [](MeasuredRun& run) { run.threads = 1; });
  check("profile", [](MeasuredRun& run) { run.profiled = true; });
  check("bits", [](MeasuredRun& run) { run.deterministic = false; });
  check("bf16 gradients", [](MeasuredRun& run) { run.grad_reduce_in_bf16 = true; });
  std::vector<MeasuredRun> runs = runs_with([](MeasuredRun& run) { run.grid = {{"X", "a, b"}}; });
  for (MeasuredRun& run : runs) {
    if (run.grid.empty()) run.grid = {{"X", "c"}};
  }
  EXPECT_THAT(markdown_of(runs), HasSubstr("| X=a, b |"));
  EXPECT_THAT(findings_in(markdown_of(runs)), IsEmpty());
}

// Runs of a report that is a source again have stamps that were told apart already.
TEST(CheckedReport, NoTwoRunsShareAStamp) {
  std::vector<MeasuredRun> runs;
  for (int i = 0; i < 4; ++i) runs.push_back(run_of("a", 2, 10 + i));
  runs[3].started_at += "-2";
  runs[3].machine.cpu_model = "Another CPU";
  const std::string text = markdown_of(runs);
  EXPECT_THAT(text, HasSubstr("created_at: 2026-01-02-030405-2-2\t"));
  EXPECT_THAT(findings_in(text), IsEmpty());
}

TEST(CheckedReport, NamesMayHoldWhatTheLayoutUses) {
  for (const char* name : {"a|b", "a\\|b", "my_model", "a\nb", "<b>x", "&lt;", "a, [b]: c", "A b",
                           "my-architecture", "```x", "x-nLayersNone"}) {
    std::vector<MeasuredRun> runs = {run_of(name, 2, 10), run_of(name, 4, 20)};
    runs[1].dtype = "fp32";
    EXPECT_THAT(findings_in(markdown_of(runs)), IsEmpty()) << name;
    EXPECT_EQ(parse_published_report(markdown_of(runs), "x").rows.size(), 2U) << name;
  }
  std::vector<MeasuredRun> runs = {run_of("a", 2, 10)};
  runs[0].settings.push_back({"--note", "```\nGLOBAL_BATCH: many\n| a | 9 | 9 | tpgps | 9 |"});
  EXPECT_THAT(findings_in(markdown_of(runs)), IsEmpty());
}

TEST(CheckedReport, WhatWasNotMeasuredContradictsNothing) {
  std::vector<MeasuredRun> runs = {run_of("a", 2, 10), run_of("a", 4, 20)};
  for (StepRecord& step : runs[0].steps) step.tflops = std::numeric_limits<double>::quiet_NaN();
  const std::string text = markdown_of(runs);
  EXPECT_THAT(text, HasSubstr("| not measured |"));
  EXPECT_EQ(parse_published_report(text, "x").rows.size(), 2U);
  EXPECT_THAT(findings_in(text), IsEmpty());
}

class Tampered : public ::testing::Test {
 protected:
  // What is found after one replacement, or one everywhere.
  static std::vector<std::string> findings(const std::string& from, const std::string& to,
                                           bool everywhere = false) {
    std::string text = markdown_of({run_of("a", 2, 10), run_of("a", 2, 10.5), run_of("a", 4, 20)});
    size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    while (at != std::string::npos) {
      text.replace(at, from.size(), to);
      at = everywhere ? text.find(from, at + to.size()) : std::string::npos;
    }
    return findings_in(text);
  }
};

TEST_F(Tampered, NothingIsAsItWas) { EXPECT_THAT(findings("a", "a"), IsEmpty()); }

// Steps of 10, 11, 10.5 and 11.55 ms: 88658 to 102400 tokens a second, medians 97745 and 93091.
TEST_F(Tampered, RangesHoldTheirMedians) {
  EXPECT_THAT(findings("88658 to 102400", "96000 to 102400"),
              ElementsAre("value: tpgps of a x 2 is 95418, which is not within its min to max, "
                          "96000 to 102400"));
  EXPECT_THAT(findings("88658 to 102400", "102400 to 88658"),
              ElementsAre("value: min of tpgps of a x 2 is 102400, more than its max 88658"));
  EXPECT_THAT(findings("88658 to 102400", "94000 to 102400"),
              ElementsAre(HasSubstr("a x 2: the raw data has 93090.9")));
  EXPECT_THAT(findings("88658 to 102400", "nan to 102400"),
              ElementsAre("value: min to max of tpgps of a x 2 is no range: nan"));
}

TEST_F(Tampered, TheTableOfFormulasFollowsTheResults) {
  const std::string text =
      markdown_of({run_of("a", 2, 10), run_of("a", 2, 10.5), run_of("a", 4, 20)});
  const size_t at = text.find("| a | 2 |", text.find("## TFLOPs by formula"));
  const std::string row = text.substr(at, text.find('\n', at) - at);
  const size_t lm = std::string("| a | 2 | ").size(), ds = row.find("| ", lm) + 2;
  EXPECT_THAT(findings(row, row.substr(0, lm) + "9" + row.substr(lm + 1)),
              ElementsAre(AllOf(HasSubstr("formula: a x 2: TFLOPs are "),
                                HasSubstr(" in the table of results, and 9."))));
  EXPECT_THAT(findings(row, row.substr(0, ds) + "9" + row.substr(ds + 1)),
              ElementsAre(AllOf(HasSubstr("formula: a x 2: TFLOPs by ds are "),
                                HasSubstr(" from tokens per GPU, not 9."))));
}

TEST_F(Tampered, GlobalRatesAreThoseOfAllRanks) {
  std::string text = markdown_of({run_of("a", 2, 10)});
  const size_t list = text.find("- Global tokens per second");
  const size_t value = text.find('\t', list) + 1;
  text.replace(value, text.find('\n', value) - value, "5");
  EXPECT_THAT(findings_in(text),
              ElementsAre(HasSubstr("value: a x 2, global batch 8, 2026-01-02-030405: 97745.4")));
}

TEST_F(Tampered, BatchesRanksAndHosts) {
  EXPECT_THAT(findings("GLOBAL_BATCH: 8", "GLOBAL_BATCH: 40"),
              ElementsAre("configuration: GLOBAL_BATCH is 40 for all runs, 8 in the raw data"));
  EXPECT_THAT(findings("WORLD_SIZE: 1", "WORLD_SIZE: 8"),
              ElementsAre("configuration: MB:2 x GAS:4 x 8 ranks make a batch of 64, not 8"));
  EXPECT_THAT(findings("[GB:8]", "[GB:999]"),
              ElementsAre("configuration: a x 2, global batch 8, 2026-01-02-030405: GB:999 in its "
                          "tags"));
  EXPECT_THAT(findings("[MB:2]", "[MB:3]"),
              ElementsAre("configuration: MICRO_BATCH is 2 for all runs, 3 in the raw data",
                          "configuration: MB:3 x GAS:4 x 1 ranks make a batch of 12, not 8"));
  EXPECT_THAT(findings("[NHOST:1]", "[NHOST:2]"), ElementsAre(HasSubstr("NHOST:2 in its tags")));
  EXPECT_THAT(findings("env.NHOSTS: 1", "env.NHOSTS: 9"),
              ElementsAre(HasSubstr("1 host in one list, 9 in another")));
  EXPECT_THAT(findings("env.NHOSTS: 1", "env.NHOSTS: 9", /*everywhere=*/true), SizeIs(3));
  EXPECT_THAT(findings("machine: Some CPU", "machine: No CPU"),
              ElementsAre(HasSubstr("machine somecpu in one list, nocpu in another")));
}

TEST_F(Tampered, Counts) {
  EXPECT_THAT(findings("2 configurations of 3 runs", "7 configurations of 9 runs"),
              ElementsAre("count: the report is of 7 configurations, its table has 2 rows",
                          "count: the report is of 9 runs, its table counts 3"));
  EXPECT_THAT(findings("Together that is 6 steps", "Together that is 99 steps"),
              ElementsAre("count: 3 runs cannot have 99 steps: each has 3 (TRAIN_ITERS), of which "
                          "1 do not count"));
  EXPECT_THAT(findings("Together that is 6 steps", "Together that is 2 steps"),
              ElementsAre("count: 2 steps cannot be of 3 runs"));
}

TEST_F(Tampered, ACellThatIsNoNumber) {
  EXPECT_THAT(findings("| 95418 |", "| nan |"),
              ElementsAre("value: tpgps of a x 2 is nan, no number; the raw data has 95418.182"));
  EXPECT_THAT(findings("| 95418 |", "| 97745 |"),
              ElementsAre(HasSubstr("value: tpgps of the table")))
      << "a row shows the median of its runs, not one of them";
}

TEST(TamperedVariants, RowsAreCheckedAgainstTheirOwnRuns) {
  const std::string text =
      markdown_of(runs_with([](MeasuredRun& run) { set_batch(run, 8, 4, 1); }));
  const auto with = [&text](const std::string& from, const std::string& to) {
    std::string changed = text;
    const size_t at = changed.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return findings_in(changed.replace(at, from.size(), to));
  };
  EXPECT_THAT(with("[MB:8]", "[MB:2]"),
              ElementsAre(HasSubstr("in all over 4 are"),
                          HasSubstr("custom x 2, MICRO_BATCH=8: MB:2 in the raw data")));
  EXPECT_THAT(with("| 2 | MICRO\\_BATCH=8 |", "| 3 | MICRO\\_BATCH=8 |"),
              ElementsAre("count: custom x 2 has 5 runs in the table, 4 in the raw data",
                          "count: the report is of 8 runs, its table counts 9"));
}

// What raw data says nothing of is told apart by the order, shapes by the configuration.
TEST(TamperedVariants, AreStillChecked) {
  const auto findings = [](const auto& change, const std::string& column, const std::string& row) {
    std::string text = markdown_of(runs_with(change));
    // The first digit of the cell of that column.
    size_t at = text.rfind('\n', text.find(row)) + 1;
    for (size_t left = column == "size" ? 3 : 4; left > 0; --left) at = text.find('|', at) + 1;
    text[at + 1] = '7';
    return findings_in(text);
  };
  EXPECT_THAT(findings([](MeasuredRun& run) { run.dtype = "fp32"; }, "tpgps", "| DTYPE=fp32 |"),
              ElementsAre(HasSubstr("tpgps of the table is not that of the raw data: custom x 2, "
                                    "DTYPE=fp32: 7"),
                          HasSubstr("not within its min to max")));
  EXPECT_THAT(findings([](MeasuredRun& run) { set_shape(run, 512); }, "size", "| HIDDEN=512 |"),
              ElementsAre(HasSubstr("size: custom x 2, HIDDEN=512 has 0.00")));
}

TEST(TamperedVariants, ARowWithoutItsArchitecture) {
  std::string text = markdown_of(runs_with([](MeasuredRun& run) { set_shape(run, 512); }));
  const size_t at = text.find("HIDDEN: 512");
  ASSERT_NE(at, std::string::npos);
  text.replace(at, 11, "HIDDEN: 513");
  EXPECT_THAT(findings_in(text), ElementsAre(HasSubstr("custom x 2, HIDDEN=512: no architecture"),
                                             HasSubstr("custom x 4, HIDDEN=512: no architecture")));
}

}  // namespace
}  // namespace borealis
