#include "telemetry/run_tracker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/protobuf_fields.h"
#include "support/fake_run.h"
#include "support/temporary_folder.h"
#include "support/wandb_chunks.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// The first field with this number; "" if there is none.
std::string field(std::string_view message, uint32_t number) {
  std::string found;
  for_each_protobuf_field(message, [&](const ProtobufField& one) {
    if (one.number == number && found.empty()) {
      found = one.bytes.empty() ? std::to_string(one.value) : std::string(one.bytes);
    }
  });
  return found;
}

// {key: value} of the items under `number`.
nlohmann::json items(std::string_view message, uint32_t number) {
  nlohmann::json object = nlohmann::json::object();
  for_each_protobuf_field(message, [&](const ProtobufField& one) {
    if (one.number == number) {
      object[field(one.bytes, 1)] = nlohmann::json::parse(field(one.bytes, 16));
    }
  });
  return object;
}

// The contents of the records of one kind.
std::vector<std::string> records(const fs::path& log, uint32_t kind) {
  std::vector<std::string> found;
  for (const std::string& record : records_of(chunks_of(read_text_file(log)))) {
    for_each_protobuf_field(record, [&](const ProtobufField& one) {
      if (one.number == kind) found.emplace_back(one.bytes);
    });
  }
  return found;
}

struct Point {
  int64_t step = 0;
  double value = 0;
  bool operator==(const Point&) const = default;
};

// The points of a tag in an event file, forgetting nothing.
std::vector<Point> points(const fs::path& events, std::string_view tag) {
  std::vector<Point> found;
  std::string_view rest;
  const std::string text = read_text_file(events);
  for (rest = text; !rest.empty();) {
    const size_t length = little_endian(rest.substr(0, 4));
    const std::string_view event = rest.substr(12, length);
    rest.remove_prefix(16 + length);
    for_each_protobuf_field(field(event, 5), [&](const ProtobufField& value) {
      if (field(value.bytes, 1) != tag) return;
      for_each_protobuf_field(value.bytes, [&](const ProtobufField& number) {
        float bits = 0;
        const auto raw = static_cast<uint32_t>(number.value);
        std::memcpy(&bits, &raw, sizeof bits);
        if (number.number == 2) found.push_back({std::stoll(field(event, 2)), bits});
      });
    });
  }
  return found;
}

fs::path only_entry(const fs::path& folder) {
  std::vector<fs::path> entries;
  for (const auto& entry : fs::directory_iterator(folder)) entries.push_back(entry.path());
  EXPECT_EQ(entries.size(), 1u) << folder;
  return entries.front();
}

class RunTrackerTest : public ::testing::Test {
 protected:
  RunConfig config_in(const std::string& name) {
    RunConfig config = fake_config(20);
    config.output.run_dir = (folder_.path() / name).string();
    config.tracking.wandb = true;
    config.tracking.wandb_project = "proj";
    borealis::create_directories(config.output.run_dir);
    return config;
  }
  // Steps [first, last], a validation after every fifth, with the run's own metrics.
  void run(const RunConfig& config, int64_t first, int64_t last, const RunHistory& history = {},
           const std::function<void(int64_t)>& after_step = {}) {
    MetricsWriter metrics(config.output.run_dir, history);
    RunTracker tracker(config);
    log_info("an early line");
    RunSummary summary = fake_summary({fake_step(1, {})});
    tracker.begin(config, summary, history);
    for (int64_t iteration = first; iteration <= last; ++iteration) {
      const StepRecord step = fake_step(iteration, {});
      metrics.write(step);
      tracker.write(step);
      if (iteration % 5 == 0) {
        const ValidationRecord record{iteration, 2.5, 12.25};
        metrics.write(record);
        tracker.write(record);
      }
      if (after_step) after_step(iteration);
    }
    log_info("a late line");
    tracker.write({.iteration = last, .lm_loss = 2, .perplexity = 7, .set = EvaluatedSet::kTest});
    tracker.end(summary, 143);
    log_info("a line after the end");
  }
  static fs::path wandb_log(const fs::path& wandb_folder) {
    for (const auto& entry : fs::directory_iterator(wandb_folder)) {
      if (entry.path().extension() == ".wandb") return entry.path();
    }
    return {};
  }
  static fs::path run_path(const RunConfig& config, const char* name) {
    return fs::path(config.output.run_dir) / name;
  }

  TemporaryFolder folder_;
};

// Of a long history not every step is there, and those of validations need not be.
TEST_F(RunTrackerTest, AValidationHasItsSamplesWithoutItsStep) {
  const RunConfig config = config_in("a");
  RunTracker tracker(config);
  const RunSummary summary = fake_summary({fake_step(1, {})});
  tracker.begin(config, summary, {});
  tracker.write(fake_step(4, {}));
  for (const int64_t iteration : {2, 4, 7}) tracker.write(ValidationRecord{iteration, 2.5, 12.25});
  tracker.end(summary, 0);
  const fs::path events = only_entry(folder_.path() / "a" / "tensorboard");
  for (const char* against : {"samples", "tokens"}) {
    std::vector<int64_t> steps;
    const std::string tag = "lm-loss-validation/lm loss validation vs " + std::string(against);
    for (const Point& point : points(events, tag)) steps.push_back(point.step);
    std::vector<int64_t> expected;
    for (const int64_t iteration : {2, 4, 7}) {
      const StepRecord step = fake_step(iteration, {});
      expected.push_back(against == std::string("samples") ? step.consumed_samples
                                                           : step.consumed_tokens);
    }
    EXPECT_EQ(steps, expected) << against;
  }
}

TEST_F(RunTrackerTest, RowsHaveStepsOfTheirOwn) {
  const RunConfig config = config_in("run");
  run(config, 1, 7);
  const fs::path log = wandb_log(only_entry(run_path(config, "wandb")));
  std::vector<int64_t> steps;
  for (const std::string& row : records(log, 2)) {
    const nlohmann::json values = items(row, 1);
    steps.push_back(values["_step"]);
    EXPECT_EQ(field(field(row, 2), 1), std::to_string(steps.back()));
    EXPECT_TRUE(values.contains("_timestamp") && values.contains("_runtime"));
    if (steps.back() < 8) {
      EXPECT_EQ(values["loss/lm loss"], fake_step(steps.back(), {}).lm_loss);
    }
    EXPECT_EQ(values.contains("val/lm loss"), steps.back() == 6);
    if (steps.back() == 6) {
      EXPECT_EQ(values["val/iteration"], 5);
    }
    EXPECT_EQ(values.contains("test/lm loss"), steps.back() == 8);
  }
  EXPECT_THAT(steps, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
  const nlohmann::json summary = items(records(log, 3).back(), 1);
  EXPECT_EQ(summary["loss/lm loss"], fake_step(7, {}).lm_loss);
  EXPECT_EQ(summary["test/lm loss"], 2);
  EXPECT_EQ(summary["_step"], 8);
  EXPECT_EQ(summary["stopped_by"], "train_iters");
  EXPECT_EQ(records(log, 7).size(), 1u) << "a sample at the end";
  ASSERT_EQ(records(log, 18).size(), 1u);
  EXPECT_EQ(field(records(log, 18).front(), 1), "143");
  EXPECT_EQ(records(log, 20).size() + records(log, 22).size(), 2u);
}

TEST_F(RunTrackerTest, TheConsoleIsTheLog) {
  const RunConfig config = config_in("run");
  run(config, 1, 2);
  std::string console;
  for (const std::string& line : records(wandb_log(only_entry(run_path(config, "wandb"))), 13)) {
    console += field(line, 3);
  }
  EXPECT_THAT(console, ::testing::MatchesRegex(".*an early line\n.*Weights & Biases.*"
                                               "a late line\n"));
  EXPECT_THAT(console, Not(HasSubstr("after the end")));
}

TEST_F(RunTrackerTest, ConfigurationHasNumbersAsNumbers) {
  const RunConfig config = config_in("run");
  run(config, 1, 1);
  const std::string record = records(wandb_log(only_entry(run_path(config, "wandb"))), 17).front();
  const nlohmann::json values = items(field(record, 4), 1);
  EXPECT_EQ(values["env"]["NLAYERS"], 6);
  EXPECT_EQ(values["env"]["LR"], 2e-4);
  EXPECT_EQ(values["env"]["DTYPE"], "bf16");
  EXPECT_EQ(values["args"]["model"]["hidden_size"], 384);
  EXPECT_EQ(values["num_params"], 15533184);
  EXPECT_EQ(field(record, 3), "proj");
  EXPECT_EQ(field(record, 8), "borealis-mini_run");
}

TEST_F(RunTrackerTest, ARunThatGoesOnIsTheSameRun) {
  const RunConfig first = config_in("first");
  run(first, 1, 12);
  const RunConfig second = config_in("second");
  run(second, 11, 13, {first.output.run_dir, 10});
  const std::string before = records(wandb_log(only_entry(run_path(first, "wandb"))), 17).front();
  const std::string after = records(wandb_log(only_entry(run_path(second, "wandb"))), 17).front();
  EXPECT_EQ(field(before, 1), field(after, 1));
  EXPECT_EQ(field(after, 8), "borealis-mini_first");
  EXPECT_EQ(field(before, 18), "0");
  EXPECT_EQ(field(after, 18), "1");
  EXPECT_EQ(field(after, 14), "10");
  EXPECT_EQ(items(field(after, 4), 1)["resumed_at_iteration"], 10);
}

TEST_F(RunTrackerTest, EventsTellTheWholeRunOnce) {
  const RunConfig first = config_in("first");
  run(first, 1, 12);
  const RunConfig second = config_in("second");
  run(second, 11, 13, {first.output.run_dir, 10});
  const fs::path events = only_entry(tensorboard_folder(second));
  std::vector<Point> expected;
  for (int64_t iteration = 1; iteration <= 13; ++iteration) {
    expected.push_back({iteration, static_cast<float>(fake_step(iteration, {}).lm_loss)});
  }
  EXPECT_EQ(points(events, "lm-loss-training/lm loss"), expected);
  EXPECT_EQ(points(events, "lm-loss-validation/lm loss validation"),
            (std::vector<Point>{{5, 2.5}, {10, 2.5}}));
  EXPECT_EQ(points(events, "lm-loss-validation/lm loss validation vs tokens"),
            (std::vector<Point>{{5 * 8 * 512, 2.5}, {10 * 8 * 512, 2.5}}));
  EXPECT_EQ(points(events, "lm-loss-test/lm loss test ppl"), (std::vector<Point>{{13, 7}}));
  EXPECT_TRUE(points(events, "training/consumed_tokens").empty()) << "too large for f32";
}

TEST_F(RunTrackerTest, NothingIsWrittenWhereNothingIsWanted) {
  RunConfig config = config_in("run");
  config.tracking.wandb = config.tracking.tensorboard = false;
  run(config, 1, 2);
  EXPECT_FALSE(fs::exists(run_path(config, "wandb")));
  EXPECT_FALSE(fs::exists(run_path(config, "tensorboard")));
  EXPECT_FALSE(fs::exists(run_path(config, kWandbRunFileName)));
}

TEST_F(RunTrackerTest, AFailureIsOneWarningAndTheOtherGoesOn) {
  std::vector<std::string> lines;
  RunConfig config = config_in("run");
  write_file_atomically(run_path(config, "tensorboard"), "in the way");
  {
    const LogListener listener([&](std::string_view line) { lines.emplace_back(line); });
    run(config, 1, 3);
  }
  EXPECT_EQ(std::ranges::count_if(
                lines,
                [](const std::string& line) {
                  return line.find(
                             "nothing more is written to TensorBoard events, the run goes "
                             "on: ") != std::string::npos;
                }),
            1);
  EXPECT_EQ(records(wandb_log(only_entry(run_path(config, "wandb"))), 2).size(), 4u);
}

TEST_F(RunTrackerTest, FoldersMayBeElsewhere) {
  RunConfig config = config_in("run");
  config.tracking.wandb_dir = (folder_.path() / "elsewhere").string();
  config.tracking.tensorboard_dir = (folder_.path() / "events").string();
  config.tracking.wandb_run_id = "given";
  run(config, 1, 1);
  EXPECT_THAT(only_entry(folder_.path() / "elsewhere/wandb").filename().string(),
              ::testing::MatchesRegex("offline-run-[0-9]+_[0-9]+-given"));
  EXPECT_TRUE(fs::exists(only_entry(folder_.path() / "events")));
  run(config, 1, 1);  // within the same second, maybe
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path() / "elsewhere/wandb"), {}), 2);
}

}  // namespace
}  // namespace borealis
