// When a copy of a run's buffers is written, as the saver's caller sees it.
#include "train/checkpoint_saver.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <optional>
#include <thread>
#include <utility>

#include "checkpoint/safetensors_file.h"
#include "checkpoint/state_pieces.h"
#include "model/parameter_layout.h"
#include "support/small_models.h"
#include "support/temporary_folder.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

class SavesInTheBackground : public ::testing::Test {
 protected:
  // So many rows that the embedding's moments, of MiB, are written from where they are.
  static constexpr int64_t kVocabulary = 1 << 15;

  SavesInTheBackground() { initialize_parameters(buffers_.parameters, 1); }

  static RunConfig config_of(const fs::path& folder) {
    RunConfig config;
    config.model = testing::small_llama(2);
    config.model.vocab_size = kVocabulary;
    config.batch.seq_length = 16;
    config.output.checkpoint_dir = (folder / "checkpoints").string();
    config.output.run_dir = folder.string();
    return config;
  }
  // A save of the run `steps` steps after what came before.
  void save_after(int steps) {
    for (int step = 0; step < steps; ++step) saver_->step_done();
    state_.iteration += steps;
    state_.configuration = nlohmann::json::object();
    saver_->save(state_);
  }
  fs::path folder_of_this_save() const {
    return fs::path(config_.output.checkpoint_dir) / fmt::format("global_step{}", state_.iteration);
  }
  // What becomes complete by itself.
  fs::path completed() {
    for (;;) {
      if (const auto folder = saver_->take_completed()) return *folder;
      std::this_thread::yield();
    }
  }

  const TemporaryFolder folder_;
  const RunConfig config_ = config_of(folder_.path());
  const RunLayout layout_ = make_run_layout(config_, 2);
  TrainingArenas arenas_ = allocate_training_arenas(layout_);
  TrainingBuffers buffers_{layout_, arenas_};
  const std::unique_ptr<Communicator> alone_ = make_lone_communicator();
  std::optional<CheckpointSaver> saver_{
      std::in_place, config_, layout_, arenas_, buffers_, true, CheckpointWriters{*alone_}};
  RunState state_;
};

TEST_F(SavesInTheBackground, WriteBehindTheStepThatWaitedForTheCopy) {
  save_after(10);
  EXPECT_FALSE(saver_->take_completed()) << "no step was done since";
  saver_->step_done();
  EXPECT_EQ(completed(), folder_of_this_save());
}

TEST_F(SavesInTheBackground, WriteAtOnceWhereTheNextIsAFewStepsAway) {
  for (int save = 0; save < 2; ++save) {
    save_after(1);
    EXPECT_EQ(completed(), folder_of_this_save());
  }
}

TEST_F(SavesInTheBackground, AreWrittenForWhoeverWaits) {
  save_after(10);
  saver_->wait();
  EXPECT_EQ(saver_->take_completed(), folder_of_this_save());
}

TEST_F(SavesInTheBackground, HaveTheStateStayAsLongAsItIsWritten) {
  EXPECT_EQ(saver_->state_to_move_to(), nullptr) << "nothing was saved";
  save_after(10);
  const OptimizerState* other = saver_->state_to_move_to();
  ASSERT_NE(other, nullptr);
  EXPECT_NE(other->first_moment, buffers_.optimizer.first_moment);
  const OptimizerState first = buffers_.optimizer;
  buffers_.optimizer.first_moment = other->first_moment;  // as an update leaves it
  EXPECT_EQ(saver_->state_to_move_to(), nullptr) << "it has moved";
  saver_->wait();
  save_after(10);
  ASSERT_NE(saver_->state_to_move_to(), nullptr);
  EXPECT_EQ(saver_->state_to_move_to()->first_moment, first.first_moment) << "and back";
  saver_->wait();
  EXPECT_EQ(saver_->state_to_move_to(), nullptr) << "it is written";
}

// Memory and file agree on where a sector begins, or everything would be copied.
TEST_F(SavesInTheBackground, WriteMomentsFromWhereTheyAre) {
  save_after(10);
  saver_->wait();
  const SafetensorsFile file(folder_of_this_save() / "state" / state_shard_name(0, 1));
  const ShardPiece piece = layout_.partition.pieces(0).front();
  const std::string& tensor = layout_.table.entries()[piece.parameter].name;
  for (const auto& [kind, moments] : {std::pair(kFirstMoment, buffers_.optimizer.first_moment),
                                      std::pair(kSecondMoment, buffers_.optimizer.second_moment)}) {
    const TensorView& view = file.at(piece_name(kind, tensor, 0));
    EXPECT_GE(view.bytes.size(), size_t{1} << 20);
    EXPECT_EQ(file.offset_of(view) % kDirectAlignment, 0u);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(moments + piece.offset) % kDirectAlignment, 0u);
  }
}

// What is written is what was there when save() was called, though an update followed before it.
TEST_F(SavesInTheBackground, WriteTheStateThatWasSaved) {
  const auto count = static_cast<size_t>(layout_.partition.shard_elements());
  std::fill_n(buffers_.optimizer.first_moment, count, 3.0f);
  save_after(10);
  const OptimizerState* other = saver_->state_to_move_to();
  ASSERT_NE(other, nullptr);
  std::fill_n(other->first_moment, count, 5.0f);
  std::fill_n(static_cast<std::byte*>(buffers_.parameters.weights), 64, std::byte{0});
  buffers_.optimizer.first_moment = other->first_moment;
  saver_->wait();
  const OpenedCheckpoint checkpoint = open_checkpoint(folder_of_this_save());
  TrainingArenas arenas = allocate_training_arenas(layout_);
  const TrainingBuffers loaded(layout_, arenas);
  DirectBlocks blocks;
  load_checkpoint(checkpoint, state_targets(layout_, loaded, 0, /*moments=*/true), blocks);
  const ShardPiece piece = layout_.partition.pieces(0).front();
  for (int64_t i = 0; i < piece.size(); ++i) {
    ASSERT_EQ(loaded.optimizer.first_moment[piece.offset + i], 3.0f) << i;
  }
  EXPECT_NE(*static_cast<const uint64_t*>(loaded.parameters.weights), 0u);
}

TEST_F(SavesInTheBackground, AreWrittenBeforeTheNext) {
  save_after(10);
  saver_->save(state_);
  EXPECT_EQ(saver_->take_completed(), folder_of_this_save());
}

TEST_F(SavesInTheBackground, AreWrittenWhereTheRunEndsInThatStep) {
  save_after(10);
  saver_.reset();
  EXPECT_TRUE(fs::exists(folder_of_this_save() / "state"));
}

}  // namespace
}  // namespace borealis
