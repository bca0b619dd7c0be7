#include "sweep/sweep_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/median.h"
#include "support/expect_error.h"
#include "support/fake_run.h"
#include "support/temporary_folder.h"
#include "sweep/measurement.h"
#include "sweep/sweep_text.h"

namespace borealis {
namespace {

using ::testing::HasSubstr;

SweepState example() {
  SweepState state;
  state.created_at = "2026-01-02 03:04:05";
  state.steps = 12;
  state.warmup_steps = 3;
  state.repeats = 2;
  SweepPoint done;
  done.name = "llama3-3B_nlayers4";
  done.settings = {{"MODEL_ARCH", "llama3-3B"}, {"NLAYERS", "4"}};
  done.key = {"0.1.0 (abc)", "host: cpu", "0123"};
  done.plan.planned_bytes = 1000;
  done.plan.limit_bytes = 2000;
  done.state = PointState::kDone;
  done.runs = {"points/llama3-3B_nlayers4/1", "points/llama3-3B_nlayers4/2"};
  SweepPoint killed = done;
  killed.name = "llama3-3B_nlayers6";
  killed.settings[1].second = "6";
  killed.state = PointState::kKilled;
  killed.reason = "killed by SIGKILL";
  killed.runs.clear();
  state.points = {done, killed};
  return state;
}

// The document is an interface: `borealis report` and scripts read it.
TEST(SweepState, HasTheNamesThatOthersRead) {
  const auto json = nlohmann::json::parse(sweep_state_json(example()));
  EXPECT_EQ(json["version"], 1);
  EXPECT_EQ(json["created_at"], "2026-01-02 03:04:05");
  EXPECT_EQ(json["warmup_steps"], 3);
  EXPECT_EQ(json["repeats"], 2);
  const auto& point = json["points"][0];
  EXPECT_EQ(point["name"], "llama3-3B_nlayers4");
  EXPECT_EQ(point["settings"]["NLAYERS"], "4");
  EXPECT_EQ(point["state"], "done");
  EXPECT_EQ(point["reason"], "");
  EXPECT_EQ(point["planned_bytes"], 1000);
  EXPECT_EQ(point["limit_bytes"], 2000);
  EXPECT_EQ(point["runs"][1], "points/llama3-3B_nlayers4/2");
  EXPECT_EQ(json["points"][1]["state"], "killed");
}

TEST(SweepState, ComesBackFromItsFile) {
  const TemporaryFolder folder;
  EXPECT_FALSE(read_sweep_state(folder.path()));
  EXPECT_FALSE(read_sweep_state(folder.path() / "none"));
  write_sweep_state(folder.path(), example());
  const SweepState back = *read_sweep_state(folder.path());
  EXPECT_EQ(sweep_state_json(back), sweep_state_json(example()));
  EXPECT_EQ(back.points[0].settings, example().points[0].settings);
  EXPECT_EQ(back.points[1].key, example().points[1].key);
}

TEST(SweepState, RefusesWhatIsNone) {
  const auto refused = [](const std::string& text, const std::string& words) {
    EXPECT_ERROR(parse_sweep_state(text, "DIR/sweep.json"), ErrorKind::kData,
                 "DIR/sweep.json is not the state of a sweep", words, "--output");
  };
  const std::string text = sweep_state_json(example());
  refused(text.substr(0, text.size() / 2), "it is not valid JSON at line ");
  refused("{}", "version");
  refused("[1]", "");
  nlohmann::json json = nlohmann::json::parse(text);
  json["version"] = 2;
  refused(json.dump(), "another version");
  json["version"] = 1;
  json["points"][0]["state"] = "perhaps";
  refused(json.dump(), "'perhaps' is no state");
  json["points"][0]["state"] = "done";
  json["points"][0]["settings"] = {{"NLAYERS", 4}};
  refused(json.dump(), "type");
}

TEST(PointKey, IsOfWhatAMeasurementDependsOn) {
  const RunConfig config = fake_config(10);
  const PointKey key = make_point_key("0.1.0", config, "");
  EXPECT_EQ(make_point_key("0.1.0", config, ""), key);
  EXPECT_NE(make_point_key("0.1.1", config, ""), key);
  EXPECT_NE(make_point_key("0.1.0", config, "NVIDIA H100"), key);
  RunConfig elsewhere = config;
  elsewhere.output.run_dir = "elsewhere";
  elsewhere.data.cache_path = "elsewhere";
  elsewhere.notes = {"a note"};
  EXPECT_EQ(make_point_key("0.1.0", elsewhere, ""), key);
  RunConfig longer = config;
  ++longer.limits.train_iters;
  EXPECT_NE(make_point_key("0.1.0", longer, "").configuration, key.configuration);
}

TEST(Measurement, IsTheMedianOfTheRepeatsMediansBehindTheWarmup) {
  const TemporaryFolder folder;
  write_fake_run(folder.path() / "1", {.steps = 4, .validation_interval = 0, .nan_steps = {}});
  write_fake_run(folder.path() / "2", {.steps = 7, .validation_interval = 0, .nan_steps = {6}});
  const auto rates = [](int64_t steps, const std::vector<int64_t>& iterations) {
    std::vector<double> values;
    for (const int64_t iteration : iterations) {
      values.push_back(
          fake_step(iteration, {.steps = steps, .validation_interval = 0, .nan_steps = {}})
              .tokens_per_gpu_per_second);
    }
    return median(values);
  };
  const Measurement measured = measure_runs(folder.path(), {"1", "2"}, 2);
  EXPECT_DOUBLE_EQ(measured.tokens_per_gpu_per_second,
                   (rates(4, {3, 4}) + rates(7, {3, 4, 5, 7})) / 2);
  EXPECT_NEAR(measured.tflops, measured.tokens_per_gpu_per_second * 9.42e7 * 1e-12, 1e-9);
  EXPECT_EQ(measured.peak_bytes, 617 << 20);
  EXPECT_EQ(measured.num_hidden_layers, 6);
  EXPECT_NEAR(measured.wall_time_s, 151.2, 1e-9);
  EXPECT_TRUE(is_finished_run(folder.path() / "1"));
}

TEST(SweepText, TellsWhereMemoryEnds) {
  SweepState state = example();
  const TemporaryFolder folder;
  write_fake_run(folder.path() / state.points[0].runs[0], FakeRun{12, 0, {}});
  write_fake_run(folder.path() / state.points[0].runs[1], FakeRun{12, 0, {}});
  const std::string text = results_text(folder.path(), state);
  EXPECT_THAT(text, HasSubstr("medians over the steps after the first 3\n"));
  EXPECT_THAT(text, HasSubstr("llama3-3B_nlayers4       6"));
  EXPECT_THAT(text, HasSubstr("memory ends at llama3-3B_nlayers6, which was killed: 1000 B planned "
                              "of 2.0 KiB"));
}

TEST(SweepText, TellsWhyLessThanTheLimitIsTooMuch) {
  EXPECT_EQ(planned_of_limit(1010, 1020, /*refused=*/true),
            "1010 B planned of 1020 B, a part of which is kept free");
  EXPECT_EQ(planned_of_limit(1020, 1010, /*refused=*/true), "1020 B planned of 1010 B");
  EXPECT_EQ(planned_of_limit(1010, 1020, /*refused=*/false), "1010 B planned of 1020 B");
}

TEST(SweepText, AlignsColumns) {
  EXPECT_EQ(aligned_table({{"a", "bcd"}, {"efg", "h"}}), "a    bcd\nefg    h\n");
}

}  // namespace
}  // namespace borealis
