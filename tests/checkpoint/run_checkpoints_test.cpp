#include "checkpoint/run_checkpoints.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "support/expect_error.h"
#include "support/small_models.h"
#include "support/temporary_folder.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;

class RunCheckpointsTest : public ::testing::Test {
 protected:
  fs::path save(int64_t step, const Retention& retention = {}) {
    static const float kValue = 1;
    CheckpointContent content;
    content.model = testing::small_llama(1);
    content.tensors = {{"a", DType::kF32, {1}, &kValue}};
    content.state.iteration = step;
    content.state.configuration = nlohmann::json::object();
    content.pieces = {piece_source(kMasterWeight, "a", 0, 1, [](const ByteSink& sink) {
      sink(std::as_bytes(std::span(&kValue, 1)));
    })};
    CheckpointFolder checkpoint(root(), step, blocks_);
    checkpoint.write(content);
    return checkpoint.commit(retention);
  }
  fs::path root() const { return folder_.path() / "checkpoints"; }

  TemporaryFolder folder_;
  DirectBlocks blocks_;
};

TEST_F(RunCheckpointsTest, ListsNothingWhereThereIsNothing) {
  EXPECT_TRUE(checkpoint_steps(root()).empty());
  EXPECT_TRUE(checkpoints_to_start_from(root()).empty());
}

TEST_F(RunCheckpointsTest, StartsFromLatestThenFromThoseBefore) {
  for (const int64_t step : {5, 10, 20}) save(step);
  fs::create_directory(root() / "global_step30.partial.host.1");
  fs::create_directory(root() / "global_step07");
  EXPECT_THAT(checkpoint_steps(root()), ElementsAre(5, 10, 20));
  const auto step = [&](int n) { return root() / ("global_step" + std::to_string(n)); };
  EXPECT_THAT(checkpoints_to_start_from(root()), ElementsAre(step(20), step(10), step(5)));
  EXPECT_EQ(fault_of_latest(root()), "");
  write_file_atomically(root() / "latest", "global_step10\n");
  EXPECT_THAT(checkpoints_to_start_from(root()), ElementsAre(step(10), step(5)));
  EXPECT_EQ(fault_of_latest(root()), "");
  // A `latest` that is damaged or lost is no hindrance.
  for (const char* damaged : {"global_stfp10", ""}) {
    write_file_atomically(root() / "latest", damaged);
    EXPECT_THAT(checkpoints_to_start_from(root()), ElementsAre(step(20), step(10), step(5)));
    EXPECT_EQ(fault_of_latest(root()), (root() / "latest").string() + " names no checkpoint");
  }
  fs::remove(root() / "latest");
  EXPECT_EQ(fault_of_latest(root()), "");
  EXPECT_THAT(checkpoints_to_start_from(root()), ElementsAre(step(20), step(10), step(5)));
  // What it names is tried first, so that its absence is told.
  write_file_atomically(root() / "latest", "global_step15");
  EXPECT_THAT(checkpoints_to_start_from(root()), ElementsAre(step(15), step(10), step(5)));
  EXPECT_THAT(checkpoints_to_start_from(step(10)), ElementsAre(step(10)));
}

TEST_F(RunCheckpointsTest, KeepsTheLastAndEveryMth) {
  for (int64_t step = 1; step <= 7; ++step) save(step, {.keep_last = 2, .keep_every = 3});
  EXPECT_THAT(checkpoint_steps(root()), ElementsAre(3, 6, 7));
  save(8, {.keep_last = 1, .keep_every = 0});
  EXPECT_THAT(checkpoint_steps(root()), ElementsAre(8));
  for (const auto& entry : fs::directory_iterator(root())) {
    EXPECT_EQ(entry.path().string().find("partial"), std::string::npos) << entry.path();
  }
}

// Killed between the folder's name and what follows it, when no further step would do that.
TEST_F(RunCheckpointsTest, CompletesWhatAKilledSaverLeft) {
  for (const int64_t step : {5, 10, 15}) save(step);
  write_file_atomically(root() / "latest", "global_step10");
  write_file_atomically(root() / "latest_checkpointed_iteration.txt", "10");
  complete_checkpoint(root(), 20, {.keep_last = 1});
  EXPECT_EQ(read_text_file(root() / "latest"), "global_step10");
  complete_checkpoint(root(), 15, {.keep_last = 1});
  EXPECT_EQ(read_text_file(root() / "latest"), "global_step15");
  EXPECT_EQ(read_text_file(root() / "latest_checkpointed_iteration.txt"), "15");
  EXPECT_THAT(checkpoint_steps(root()), ElementsAre(15));
}

TEST_F(RunCheckpointsTest, RemovesNothingButCheckpoints) {
  fs::create_directories(root() / "global_step1");
  write_file_atomically(root() / "global_step1/mine", "");
  for (const int64_t step : {2, 3, 4}) save(step, {.keep_last = 1});
  EXPECT_THAT(checkpoint_steps(root()), ElementsAre(1, 4));
  fs::create_symlink(root() / "global_step4", folder_.path() / "link");
  EXPECT_THAT(checkpoints_to_start_from(folder_.path() / "link"),
              ElementsAre(root() / "global_step4"));
}

TEST_F(RunCheckpointsTest, ACopyOfAStepMayHaveAnotherName) {
  save(3);
  const fs::path best = folder_.path() / "best";
  fs::copy(root() / "global_step3", best, fs::copy_options::recursive);
  EXPECT_THAT(checkpoints_to_start_from(best), ElementsAre(best));
  EXPECT_EQ(open_checkpoint(best).state.iteration, 3);
}

TEST_F(RunCheckpointsTest, KeepsAllWithoutRetention) {
  for (int64_t step = 1; step <= 4; ++step) save(step);
  EXPECT_THAT(checkpoint_steps(root()), ElementsAre(1, 2, 3, 4));
}

TEST_F(RunCheckpointsTest, NamesEachFileWithAFlippedBit) {
  const fs::path folder = save(3);
  float value = 0;
  const PieceTarget target{std::string(kMasterWeight), "a", 0, 1,
                           [&](int64_t, std::span<const float> part) { value = part[0]; }};
  load_checkpoint(open_checkpoint(folder), {&target, 1}, blocks_);
  EXPECT_EQ(value, 1);
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  EXPECT_EQ(files.size(), 6u);  // weights, two configs, two of the state, checksums
  for (const fs::path& file : files) {
    const std::string whole = read_text_file(file);
    std::string flipped = whole;
    flipped[whole.size() / 2] = static_cast<char>(flipped[whole.size() / 2] ^ 1);
    write_file_atomically(file, flipped);
    const auto load = [&] { load_checkpoint(open_checkpoint(folder), {&target, 1}, blocks_); };
    try {
      load();
      ADD_FAILURE() << file;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr(folder.string()));
    }
    write_file_atomically(file, whole);
    EXPECT_NO_THROW(load());
  }
}

TEST_F(RunCheckpointsTest, NamesEachFileThatTheChecksumsLost) {
  const fs::path folder = save(3);
  const FileChecksums all = read_checksums(folder);
  ASSERT_GE(all.size(), 4u);
  for (const auto& [file, checksum] : all) {
    FileChecksums most = all;
    most.erase(file);
    write_file_atomically(folder / kChecksumsFile, checksums_text(most));
    EXPECT_ERROR(open_checkpoint(folder), ErrorKind::kData, "has no checksum of " + file);
  }
  fs::remove(folder / "config.json");  // with its line
  FileChecksums most = all;
  most.erase("config.json");
  write_file_atomically(folder / kChecksumsFile, checksums_text(most));
  EXPECT_ERROR(open_checkpoint(folder), ErrorKind::kData, "has no checksum of config.json");
}

TEST_F(RunCheckpointsTest, AModelWithoutAStateSaysWhatToDo) {
  const fs::path folder = save(3);
  fs::remove_all(folder / "state");
  EXPECT_ERROR(open_checkpoint(folder), ErrorKind::kData, "a model without a training state",
               "--finetune");
}

}  // namespace
}  // namespace borealis
