#include "checkpoint/run_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace borealis {
namespace {

RunState some_state() {
  RunState state;
  state.iteration = 12;
  state.consumed = {48, 8};
  state.optimizer_steps = 11;
  state.skipped_iterations = 7;
  state.skipped_in_a_row = 5;
  state.recent_grad_norms = {0.1, 1.0 / 3, 2};
  state.data = {.mock = false,
                .split = "990,10,0",
                .shuffle_in_corpus = true,
                .blend_in_corpus = false,
                .files = {{0.3, "books", 100, 12345}, {0.7, "web", 7, 99}}};
  state.data_order = {{0, {{48, 48}, {16, 64}}}, {4, {{8, 48}}}};
  state.configuration = {{"seed", 7}};
  state.shards = 3;
  state.run_dir = "/runs/a";
  state.written_at = "2026-11-26 12:00:00";
  state.version = "0.1.0 (abc)";
  return state;
}

TEST(RunState, TextAndBack) {
  const RunState state = some_state();
  const RunState read = parse_run_state(run_state_text(state), "state.json");
  EXPECT_EQ(read.iteration, state.iteration);
  EXPECT_EQ(read.consumed.train, 48);
  EXPECT_EQ(read.consumed.valid, 8);
  EXPECT_EQ(read.optimizer_steps, 11);
  EXPECT_EQ(read.skipped_iterations, 7);
  EXPECT_EQ(read.skipped_in_a_row, 5);
  EXPECT_EQ(read.recent_grad_norms, state.recent_grad_norms);  // to the last bit
  EXPECT_EQ(read.data, state.data);
  EXPECT_EQ(read.data_order, state.data_order);
  EXPECT_EQ(read.configuration, state.configuration);
  EXPECT_EQ(read.shards, 3);
  EXPECT_EQ(read.run_dir, "/runs/a");
  EXPECT_EQ(read.written_at, "2026-11-26 12:00:00");
  EXPECT_EQ(read.version, "0.1.0 (abc)");
}

TEST(RunState, KnowsWhereTheGlobalBatchChanged) {
  RunState state = some_state();
  state.configuration["batch"] = {{"global_batch_size", 4}};
  EXPECT_EQ(parse_run_state(run_state_text(state), "f").batch_start, GlobalBatchStart{});
  state.configuration["batch"] = {{"global_batch_size", 10}};
  state.batch_start = {9, 18};
  EXPECT_EQ(parse_run_state(run_state_text(state), "f").batch_start, state.batch_start);
  state.batch_start.schedule = SchedulePlace{2, 20, 10};
  EXPECT_EQ(parse_run_state(run_state_text(state), "f").batch_start, state.batch_start);
  const auto refuses = [&](const GlobalBatchStart& start, const char* why) {
    state.batch_start = start;
    EXPECT_ERROR(parse_run_state(run_state_text(state), "f"), ErrorKind::kData, why);
  };
  refuses({9, 17}, "is not that of global_batch_start and global_batch_size");
  refuses({13, 58}, "iteration of global_batch_start of the document is 13");
  refuses({9, 8}, "is less than its iteration");
  refuses({9, 18, SchedulePlace{0, 20, 10}}, "is of no samples");
  refuses({9, 18, SchedulePlace{2, 20, 0}}, "is of no samples");
  refuses({9, 18, SchedulePlace{2, 20, int64_t{1} << 59}}, "is too large for its iterations");
  // A program that does not know of it says so.
  state.batch_start = {9, 18};
  EXPECT_THAT(run_state_text(state), ::testing::HasSubstr("\"version\": 2"));
  state.iteration = state.consumed.train = int64_t{1} << 60;
  refuses({state.iteration, state.consumed.train}, "is too large for its global batch");
  for (const nlohmann::json& batch : {nlohmann::json(0), nlohmann::json(-8), nlohmann::json("8")}) {
    state.batch_start = {};
    state.configuration["batch"] = {{"global_batch_size", batch}};
    EXPECT_ERROR(parse_run_state(run_state_text(state), "f"), ErrorKind::kData,
                 "global_batch_size of configuration is not a number of samples");
  }
}

// 12 iterations of 4 samples, of which the schedule has 20 and each step since the ninth adds 10.
TEST(RunState, TheScheduleGoesOnInItsOwnSteps) {
  GlobalBatchStart start;
  EXPECT_EQ(schedule_progress(start, 12, 4).samples, 48);
  EXPECT_EQ(schedule_progress(start, 12, 4).batch, 4);
  start = {9, 18, SchedulePlace{2, 20, 10}};
  EXPECT_EQ(schedule_progress(start, 12, 4).samples, 50);
  EXPECT_EQ(schedule_progress(start, 12, 4).batch, 2);
}

// It says nothing of the device, the threads or the rank that wrote it.
TEST(RunState, KnowsNoDevice) {
  const std::string text = run_state_text(some_state());
  for (const char* word : {"cpu", "thread", "device", "rank", "isa"}) {
    EXPECT_EQ(text.find(word), std::string::npos) << word;
  }
}

TEST(RunState, NamesWhatIsWrong) {
  const auto json = nlohmann::json::parse(run_state_text(some_state()));
  const auto rejects = [&](const char* pointer, const nlohmann::json& value,
                           const std::string& what) {
    nlohmann::json changed = json;
    changed[nlohmann::json::json_pointer(pointer)] = value;
    EXPECT_ERROR(parse_run_state(changed.dump(), "f/state.json"), ErrorKind::kData, "f/state.json",
                 what);
  };
  rejects("/iteration", -1, "iteration of the document is -1");
  rejects("/iteration", "12", "iteration of the document");
  rejects("/iteration", 18446744073709551615u, "iteration of the document");
  rejects("/consumed_train_samples", (int64_t{1} << 60) + 1, "consumed_train_samples");
  rejects("/configuration/batch", {{"global_batch_size", 5}}, "is not iteration x global_batch");
  rejects("/data_order/train/begin", 49, "begins behind what was consumed");
  rejects("/data_order/train/segments/1/samples", 0, "is of no samples");
  rejects("/data_order/train/segments/1/samples", int64_t{1} << 60, "samples of segments");
  rejects("/recent_grad_norms/1", nullptr, "recent_grad_norms of the document");
  rejects("/data", 3, "data of the document is not an object");
  rejects("/data/files/0/weight", "x", "weight of files of data");
  rejects("/data_order/train/segments", 1, "segments of train of data_order");
  rejects("/partition/shards", 0, "shards of partition is 0");
  rejects("/configuration", 1, "configuration is not an object");
  rejects("/version", 3, "has version 3; this program reads up to 2");
  for (const char* key : {"version", "iteration", "data", "data_order", "partition", "run"}) {
    nlohmann::json without = json;
    without.erase(key);
    EXPECT_ERROR(parse_run_state(without.dump(), "f"), ErrorKind::kData, key, "is missing");
  }
  EXPECT_ERROR(parse_run_state("", "f"), ErrorKind::kData, "f");
  EXPECT_ERROR(parse_run_state(std::string("{}\0", 3), "f"), ErrorKind::kData, "a NUL at byte 2");
  EXPECT_ERROR(parse_run_state("[]", "f"), ErrorKind::kData, "the document is not an object");
  const std::string deep = std::string(100000, '[') + std::string(100000, ']');
  nlohmann::json changed = json;
  std::string nested = changed.dump();
  nested.insert(nested.find("{\"seed\"") + 1, "\"x\":" + deep + ",");
  EXPECT_NO_THROW(parse_run_state(nested, "f"));  // without what is nested too deeply
}

}  // namespace
}  // namespace borealis
