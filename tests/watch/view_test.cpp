#include "watch/view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "support/fake_run.h"
#include "watch/curve.h"
#include "watch/run_json.h"

namespace borealis {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

WatchedRun run_of(const std::string& name, int64_t steps,
                  RunCondition state = RunCondition::kRunning) {
  WatchedRun run;
  const FakeRun fake{.steps = 300, .nan_steps = {7}};
  run.name = name;
  run.folder = "logs/mini/" + name;
  run.life.state = state;
  run.summary = start_run_summary(fake_config(300));
  run.summary.planned_memory_bytes = int64_t{604} << 20;
  run.train_iters = 300;
  for (int64_t i = 1; i <= steps; ++i) run.steps.add(fake_step(i, fake));
  run.seconds_left = 130;
  run.validation = ValidationRecord{100, 4.25, 70.1};
  run.system =
      SystemSample{.resident_bytes = int64_t{617} << 20, .available_bytes = int64_t{8} << 30};
  run.checkpoint = "ckpt/global_step100";
  return run;
}

std::vector<const WatchedRun*> pointers(const std::vector<WatchedRun>& runs) {
  std::vector<const WatchedRun*> all;
  for (const WatchedRun& run : runs) all.push_back(&run);
  return all;
}

std::string text_of(const std::vector<StyledLine>& lines) {
  std::string text;
  for (const StyledLine& line : lines) text += plain_text(line) + '\n';
  return text;
}

std::string view(const std::vector<WatchedRun>& runs, int width, int height,
                 const ViewChoice& choice = {}, bool unicode = true) {
  const auto all = pointers(runs);
  const auto lines = render_view(
      all, choice, {.width = width, .height = height, .unicode = unicode, .time = "12:44:05"});
  EXPECT_LE(lines.size(), static_cast<size_t>(height));
  for (const StyledLine& line : lines) EXPECT_LE(line_columns(line), width) << plain_text(line);
  return text_of(lines);
}

TEST(View, OneRunHasEveryFigure) {
  const std::string text = view({run_of("2025-08-21", 200)}, 80, 30);
  for (const char* part : {"borealis watch  1 run",
                           "12:44:05",
                           "2025-08-21",
                           "running",
                           "200/300",
                           "2 min 10 s left",
                           "[====",
                           "borealis-mini",
                           "loss ",
                           "grad norm",
                           "lr ",
                           "step time",
                           "tokens/s",
                           "TFLOPs",
                           "of GEMM",
                           "617.0 MiB",
                           "604.0 MiB",
                           "8.00 GiB free",
                           "power      -",
                           "1 step",
                           "4.2500 at 100",
                           "global_step100",
                           "q quit"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  EXPECT_THAT(text, HasSubstr("⠈"));  // dots
}

TEST(View, AsciiIsAsciiAlone) {
  for (const int width : {40, 80, 120, 200}) {
    const std::string text = view({run_of("grün", 200), run_of("b", 100)}, width, 30, {}, false) +
                             view({run_of("grün", 200)}, width, 30, {}, false);
    for (const char c : text) EXPECT_LT(static_cast<unsigned char>(c), 0x80);
    EXPECT_THAT(text, HasSubstr("gr?n"));
  }
}

TEST(View, SeveralStandSideBySideWhereTheyFit) {
  const std::vector<WatchedRun> runs = {run_of("a", 200), run_of("b", 100), run_of("c", 5),
                                        run_of("d", 0, RunCondition::kStarting)};
  const std::string wide = view(runs, 200, 40);
  EXPECT_THAT(wide, HasSubstr("│"));
  EXPECT_THAT(wide, HasSubstr("> a"));
  EXPECT_THAT(wide, HasSubstr("starting"));
  EXPECT_THAT(wide, Not(HasSubstr("loss curve")));
  const std::string table = view(runs, 120, 40);
  EXPECT_THAT(table, Not(HasSubstr("│")));
  EXPECT_THAT(table, HasSubstr("loss curve"));
  EXPECT_THAT(table, HasSubstr("200/300"));
  EXPECT_THAT(view(runs, 200, 12), Not(HasSubstr("│")));  // too low
  const std::string narrow = view(runs, 40, 24);
  EXPECT_THAT(narrow, HasSubstr("state"));
  EXPECT_THAT(narrow, HasSubstr("loss"));
  EXPECT_THAT(narrow, Not(HasSubstr("memory")));
}

TEST(View, EverySizeIsKept) {
  std::vector<WatchedRun> runs;
  for (int i = 0; i < 12; ++i) runs.push_back(run_of("a/rather/long/name/of/a/run", 10 * i));
  runs[3].life = {.state = RunCondition::kFailed, .reason = std::string(400, 'x') + " y\n\x1b[2J"};
  runs[4].unreadable_lines = 3;
  for (const size_t count : {1UL, 2UL, 4UL, 12UL}) {
    const std::vector<WatchedRun> some(runs.begin(), runs.begin() + static_cast<int64_t>(count));
    for (const bool whole : {false, true}) {
      for (int width = 1; width < 130; width += 7) {
        for (int height = 1; height < 45; ++height) {
          view(some, width, height, {.selected = 3, .whole = whole}, width % 2 == 0);
          view(some, width, height, {.help = true});
        }
      }
    }
  }
  EXPECT_THAT(view({runs[5]}, 20, 5), HasSubstr("running"));
}

TEST(View, WhatIsNotKnownIsADash) {
  WatchedRun run;
  run.name = "empty";
  const std::string text = view({run}, 80, 24);
  EXPECT_THAT(text, HasSubstr("starting"));
  EXPECT_THAT(text, HasSubstr("no loss yet"));
  EXPECT_THAT(text, HasSubstr("loss       -"));
  EXPECT_THAT(text, HasSubstr("memory     -"));
  EXPECT_THAT(view({run, run}, 60, 24), HasSubstr("empty"));
}

TEST(View, LossesThatAreNoNumbersLeaveGaps) {
  WatchedRun run = run_of("nan", 6);
  StepRecord step = run.steps.steps().back();
  step.iteration = 7;
  step.lm_loss = std::numeric_limits<double>::quiet_NaN();
  run.steps.add(step);
  EXPECT_THAT(view({run}, 80, 24), HasSubstr("loss       nan"));
  step.iteration = 8;
  step.skipped = true;
  step.skipped_iterations = 1;
  run.steps.add(step);
  EXPECT_THAT(view({run}, 80, 24), HasSubstr("loss       skipped"));
  WatchedRun none = run_of("none", 0);
  none.steps.add(step);
  EXPECT_THAT(view({none}, 80, 24), HasSubstr("no loss yet"));
}

TEST(View, SaysHowRunsEnded) {
  const auto text_of_life = [](RunLife life) {
    WatchedRun run = run_of("a", 20);
    run.life = std::move(life);
    run.summary.peak_memory_bytes = int64_t{700} << 20;
    return view({run}, 80, 30);
  };
  EXPECT_THAT(text_of_life({RunCondition::kFinished, "", 0}), HasSubstr("finished"));
  EXPECT_THAT(text_of_life({RunCondition::kFinished, "", 0}), HasSubstr("700.0 MiB peak"));
  EXPECT_THAT(text_of_life({RunCondition::kStopped, "SIGTERM", 0}),
              HasSubstr("stopped by SIGTERM"));
  EXPECT_THAT(text_of_life({RunCondition::kFailed, "file: no space", 0}),
              HasSubstr("failed: file: no space"));
  EXPECT_THAT(text_of_life({RunCondition::kKilled, "", 0}),
              HasSubstr("killed: its process is gone"));
  EXPECT_THAT(text_of_life({RunCondition::kSilent, "", 340}),
              HasSubstr("no sign of life for 5 min"));
}

TEST(View, SeveralRanksAreAddedUp) {
  WatchedRun run = run_of("a", 20);
  run.summary.world_size = 4;
  EXPECT_THAT(view({run}, 100, 30), HasSubstr(" a rank, "));
  EXPECT_THAT(view({run}, 100, 30), HasSubstr(" in all"));
}

TEST(View, ManyRunsAreShownAroundTheChosenOne) {
  std::vector<WatchedRun> runs;
  for (int i = 0; i < 50; ++i) runs.push_back(run_of("run" + std::to_string(100 + i), 3));
  const std::string top = view(runs, 80, 20);
  EXPECT_THAT(top, HasSubstr("run100"));
  EXPECT_THAT(top, HasSubstr("1 to 15 of 50"));
  const std::string end = view(runs, 80, 20, {.selected = 49});
  EXPECT_THAT(end, HasSubstr("> run149"));
  EXPECT_THAT(end, HasSubstr("36 to 50 of 50"));
}

TEST(View, CurvesOfAllRunsHaveOneScale) {
  WatchedRun high = run_of("high", 0);
  WatchedRun low = run_of("low", 0);
  for (int64_t i = 1; i <= 10; ++i) {
    StepRecord step;
    step.iteration = i;
    step.lm_loss = 10;
    high.steps.add(step);
    step.lm_loss = 2;
    low.steps.add(step);
  }
  const std::vector<const WatchedRun*> both = {&high, &low};
  const CurveScale scale = common_scale(both);
  EXPECT_EQ(scale.last_iteration, 10);
  EXPECT_EQ(small_curve(high, scale, 5, true), "█████");
  EXPECT_EQ(small_curve(low, scale, 5, true), "▁▁▁▁▁");
  EXPECT_EQ(small_curve(high, scale, 5, false), "#####");
  const CurveScale alone = common_scale(std::span(both).subspan(0, 1));
  EXPECT_LT(alone.low, 10);  // a flat curve has a scale, too
  EXPECT_GT(alone.high, 10);
}

TEST(View, KeysChoose) {
  ViewChoice choice;
  choice.take(WatchKey::kPrevious, 3);
  EXPECT_EQ(choice.selected, 2U);
  choice.take(WatchKey::kNext, 3);
  EXPECT_EQ(choice.selected, 0U);
  choice.take(WatchKey::kWhole, 3);
  EXPECT_TRUE(choice.whole);
  choice.take(WatchKey::kHelp, 3);
  EXPECT_TRUE(choice.help);
  choice.take(WatchKey::kBack, 3);
  EXPECT_FALSE(choice.help);
  EXPECT_TRUE(choice.whole);
  choice.take(WatchKey::kBack, 3);
  EXPECT_FALSE(choice.whole);
  choice.take(WatchKey::kQuit, 3);
  EXPECT_TRUE(choice.quit);
  const std::vector<WatchedRun> runs = {run_of("a", 3), run_of("b", 3)};
  EXPECT_THAT(view(runs, 100, 30, {.selected = 1, .whole = true}), Not(HasSubstr("> a")));
  EXPECT_THAT(view(runs, 100, 30, {.help = true}), HasSubstr("Ctrl-C"));
}

TEST(View, ASnapshotHasAllRunsAndNoKeys) {
  std::vector<WatchedRun> runs;
  for (int i = 0; i < 60; ++i) runs.push_back(run_of("run" + std::to_string(i), 3));
  const auto all = pointers(runs);
  const std::string text = text_of(render_snapshot(all, {.width = 100, .height = 32}));
  EXPECT_THAT(text, HasSubstr("run59"));
  EXPECT_THAT(text, Not(HasSubstr("q quit")));
  EXPECT_THAT(text, Not(HasSubstr("> ")));
}

TEST(RunJson, HasWhatIsKnown) {
  const std::string json = watched_run_json(run_of("a", 20));
  EXPECT_THAT(json, HasSubstr(R"("state":"running")"));
  EXPECT_THAT(json, HasSubstr(R"("iteration":20,"train_iters":300)"));
  EXPECT_THAT(json, HasSubstr(R"("power_watts":null)"));
  EXPECT_THAT(json, HasSubstr(R"("checkpoint":"ckpt/global_step100")"));
  EXPECT_THAT(watched_run_json(WatchedRun{}), HasSubstr(R"("lm_loss":null)"));
}

}  // namespace
}  // namespace borealis
