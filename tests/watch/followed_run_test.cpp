#include "watch/followed_run.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <string>

#include "base/file.h"
#include "support/dead_process.h"
#include "support/fake_run.h"
#include "support/temporary_folder.h"
#include "watch/run_fields.h"

namespace borealis {
namespace {

constexpr double kNow = 1e9;  // before any file was written: nothing is silent

class FollowedRunTest : public ::testing::Test {
 protected:
  FollowedRunTest() {
    summary_ = start_run_summary(fake_config(300));
    write_summary();
  }
  void write_summary() { write_run_summary(folder_.path(), summary_); }
  void write_steps(int64_t first, int64_t last) {
    std::string text;
    for (int64_t i = first; i <= last; ++i) text += step_record_json(fake_step(i, fake_)) + '\n';
    append_text_file(metrics_, text);
  }
  const WatchedRun& update(double now_s = kNow) {
    while (followed_.update(now_s)) {
    }
    return followed_.run();
  }
  int64_t iteration() {
    const StepRecord* step = update().last_step();
    return step == nullptr ? 0 : step->iteration;
  }

  TemporaryFolder folder_;
  FakeRun fake_{.nan_steps = {3}};
  std::filesystem::path metrics_ = folder_.path() / kMetricsFileName;
  RunSummary summary_;
  FollowedRun followed_{folder_.path(), "one"};
};

TEST_F(FollowedRunTest, StartsRunsAndFinishes) {
  EXPECT_EQ(update().life.state, RunCondition::kStarting);
  EXPECT_EQ(update().train_iters, 300);
  EXPECT_FALSE(update().seconds_left);
  write_steps(1, 4);
  EXPECT_EQ(update().life.state, RunCondition::kRunning);
  EXPECT_EQ(update().last_step()->iteration, 4);
  EXPECT_FALSE(update().last_step()->skipped);
  EXPECT_EQ(update().last_step()->skipped_iterations, 1);
  EXPECT_TRUE(update().steps.steps()[2].skipped);
  EXPECT_GT(update().seconds_left.value_or(0), 100);
  summary_.stopped_by = "train_iters";
  write_summary();
  EXPECT_EQ(update().life.state, RunCondition::kFinished);
  EXPECT_FALSE(update().seconds_left);
}

TEST_F(FollowedRunTest, ALivingRunWithoutStepsIsToldSo) {
  write_steps(1, 4);
  const auto written =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  EXPECT_EQ(update(written + 60).life.stalled_s, 0);
  EXPECT_TRUE(update(written + 60).seconds_left);
  EXPECT_EQ(update(written + 7200).life.state, RunCondition::kRunning);
  EXPECT_NEAR(update(written + 7200).life.stalled_s, 7200, 60);
  EXPECT_FALSE(update(written + 7200).seconds_left);
  EXPECT_EQ(state_text(followed_.run().life, false, true).text, "running, but no step for 2 h");
  EXPECT_EQ(state_text(followed_.run().life, true, true).text, "no step 2h");
  // A step of an hour may take ten.
  StepRecord slow = fake_step(5, fake_);
  slow.elapsed_ms = 3600e3;
  append_text_file(metrics_, step_record_json(slow) + '\n');
  EXPECT_EQ(update(written + 7200).life.stalled_s, 0);
}

TEST_F(FollowedRunTest, KeepsItsFiguresWhereItsFolderIsGone) {
  write_steps(1, 4);
  EXPECT_EQ(update().life.state, RunCondition::kRunning);
  std::filesystem::rename(folder_.path(), folder_.path().string() + "-moved");
  EXPECT_EQ(update().life.state, RunCondition::kGone);
  EXPECT_EQ(update().last_step()->iteration, 4);
  EXPECT_FALSE(update().seconds_left);
  std::filesystem::rename(folder_.path().string() + "-moved", folder_.path());
  EXPECT_EQ(update().life.state, RunCondition::kRunning);
}

TEST_F(FollowedRunTest, SaysWhyTheSummaryTellsNothing) {
  EXPECT_EQ(update().problem, "");
  append_text_file(folder_.path() / kSummaryFileName, "x");
  EXPECT_NE(update().problem.find("is not the summary of a run"), std::string::npos);
  EXPECT_EQ(update().train_iters, 300);
  write_summary();
  EXPECT_EQ(update().problem, "");
}

TEST_F(FollowedRunTest, WaitsForTheRestOfALine) {
  write_steps(1, 2);
  const std::string line = step_record_json(fake_step(3, fake_)) + '\n';
  append_text_file(metrics_, line.substr(0, 40));
  EXPECT_EQ(iteration(), 2);
  EXPECT_EQ(update().unreadable_lines, 0);
  append_text_file(metrics_, line.substr(40));
  EXPECT_EQ(iteration(), 3);
}

TEST_F(FollowedRunTest, BeginsAgainWithAShorterFile) {
  write_steps(1, 40);
  EXPECT_EQ(iteration(), 40);
  write_file_atomically(metrics_, "");
  EXPECT_EQ(iteration(), 0);
  EXPECT_EQ(update().life.state, RunCondition::kStarting);
  write_steps(1, 5);
  EXPECT_EQ(iteration(), 5);
  EXPECT_EQ(update().steps.count(), 5);
  std::filesystem::remove(metrics_);
  EXPECT_EQ(iteration(), 0);
}

TEST_F(FollowedRunTest, CountsWhatCannotBeRead) {
  write_steps(1, 2);
  append_text_file(metrics_, "\x01\x02 no record\n{}\n[1, 2]\n");
  write_steps(3, 3);
  EXPECT_EQ(iteration(), 3);
  EXPECT_EQ(update().unreadable_lines, 3);
}

TEST_F(FollowedRunTest, SaysThatStepsOfAFinishedRunAreMissing) {
  write_steps(1, 4);
  summary_.steps = 12;
  write_summary();
  EXPECT_EQ(update().problem, "");  // it goes on
  summary_.stopped_by = "train_iters";
  write_summary();
  EXPECT_EQ(update().problem, "metrics.jsonl has 4 of the 12 steps that summary.json tells of");
  write_steps(5, 12);
  EXPECT_EQ(update().problem, "");
}

TEST_F(FollowedRunTest, KnowsWhyARunEnded) {
  write_steps(1, 2);
  summary_.stopped_by = "SIGTERM";
  write_summary();
  EXPECT_EQ(update().life.state, RunCondition::kStopped);
  EXPECT_EQ(update().life.reason, "SIGTERM");
  summary_.stopped_by = "error";
  summary_.failure = "file: cannot write";
  write_summary();
  EXPECT_EQ(update().life.state, RunCondition::kFailed);
  EXPECT_EQ(update().life.reason, "file: cannot write");
}

TEST_F(FollowedRunTest, AProcessThatIsGoneWasKilledUntilAnotherGoesOn) {
  write_steps(1, 2);
  const ProcessMark living = summary_.process;
  summary_.process.id = dead_process();
  write_summary();
  EXPECT_EQ(update().life.state, RunCondition::kKilled);
  EXPECT_FALSE(update().seconds_left);
  summary_.process = living;
  write_summary();
  EXPECT_EQ(update().life.state, RunCondition::kRunning);
}

TEST_F(FollowedRunTest, OfAnotherHostSilenceIsAllThatIsKnown) {
  write_steps(1, 2);
  summary_.process.table = "another host";
  write_summary();
  const double written_s =
      static_cast<double>(file_stamp(folder_.path() / kSummaryFileName).modified_ns) * 1e-9;
  EXPECT_EQ(update(written_s + 60).life.state, RunCondition::kRunning);
  EXPECT_EQ(update(written_s + 300).life.state, RunCondition::kSilent);
  EXPECT_NEAR(update(written_s + 300).life.silent_s, 300, 30);
  append_text_file(folder_.path() / kSystemFileName, "{\"time\":1}\n");
  std::filesystem::last_write_time(
      folder_.path() / kSystemFileName,
      std::filesystem::file_time_type::clock::now() + std::chrono::seconds(290));
  EXPECT_EQ(update(written_s + 300).life.state, RunCondition::kRunning);
}

TEST_F(FollowedRunTest, ReadsMemoryValidationsAndCheckpoints) {
  summary_.resumed_from = "ckpt/global_step2";
  write_summary();
  EXPECT_EQ(update().checkpoint, "ckpt/global_step2");
  EXPECT_FALSE(update().validation);
  append_text_file(
      folder_.path() / kSystemFileName,
      "{\"time\":1,\"proc.memory.rssMB\":10}\n{\"time\":2,\"proc.memory.rssMB\":20}\n");
  append_text_file(folder_.path() / kValidationFileName,
                   validation_record_json({5, 3.5, 33.1}) + "\nno record\n");
  append_text_file(folder_.path() / kCheckpointsFileName,
                   "{\"checkpoint\":\"ckpt/global_step4\"}\n");
  EXPECT_EQ(update().system->resident_bytes, 20 << 20);
  EXPECT_EQ(update().validation->iteration, 5);
  EXPECT_EQ(update().checkpoint, "ckpt/global_step4");
}

TEST_F(FollowedRunTest, KeepsAPartOfALongRun) {
  const std::string line = step_record_json(fake_step(1, fake_));
  const size_t end = line.find(',');
  std::string text;
  for (int i = 1; i <= 20'000; ++i) {
    text += "{\"iteration\":" + std::to_string(i) + line.substr(end) + '\n';
  }
  append_text_file(metrics_, text);
  EXPECT_EQ(iteration(), 20'000);
  EXPECT_EQ(update().steps.count(), 20'000);
  EXPECT_LE(update().steps.steps().size(), WatchedRun::kMostSteps);
}

TEST_F(FollowedRunTest, WhatDisappearsIsNoFault) {
  write_steps(1, 2);
  EXPECT_EQ(iteration(), 2);
  std::filesystem::remove_all(folder_.path());
  EXPECT_EQ(iteration(), 2);
  EXPECT_EQ(update().summary.model_name, "borealis-mini");  // what was known stands
  std::filesystem::create_directory(folder_.path());
  write_file_atomically(folder_.path() / kSummaryFileName, "{damaged");
  EXPECT_EQ(update().summary.model_name, "borealis-mini");
}

}  // namespace
}  // namespace borealis
