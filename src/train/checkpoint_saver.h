// Saves a run: in the background where there is memory for it, so that training waits for a copy of
// the weights alone, else in the foreground. The rest of the state, five sixths of a bf16 run's, is
// not copied: it is written from where it is, and the next update puts the new state elsewhere.
// Where the state is sharded over ranks each writes its shard, and the first gives the checkpoint
// its name once all are on the disk.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "base/direct_file.h"
#include "base/pace.h"
#include "base/side_task.h"
#include "checkpoint/model_companions.h"
#include "checkpoint/run_checkpoints.h"
#include "comm/communicator.h"
#include "config/run_config.h"
#include "model/run_layout.h"
#include "tensor/arena.h"
#include "tensor/unit_flow.h"
#include "train/state_transfer.h"

namespace borealis {

// The ranks that write a checkpoint, which each have a saver and make the same calls of it. With
// one of them nothing is collective, whatever other ranks the run has.
struct CheckpointWriters {
  Communicator& ranks;          // as many as the partition has shards
  UnitFlow* weights = nullptr;  // makes units whole, where weights are sharded
};

class CheckpointSaver {
 public:
  // Of the buffers in `arenas`, which must outlive this, as `config`, `layout`, `writers` and the
  // device must, on which they are; from a device it saves by a copy of everything. The memory for
  // it is taken here; not where weights are sharded (CHECK), of which each unit is gathered to be
  // written. Removes what killed processes left in the folder of the checkpoints. companions: what
  // each model gets besides its weights.
  CheckpointSaver(const RunConfig& config, const RunLayout& layout, const TrainingArenas& arenas,
                  const TrainingBuffers& buffers, bool in_background, CheckpointWriters writers,
                  Device& device = host_device(), ModelCompanions companions = {});
  ~CheckpointSaver();  // waits for what is being written
  CheckpointSaver(const CheckpointSaver&) = delete;
  CheckpointSaver& operator=(const CheckpointSaver&) = delete;

  // Saves the run as it is now. In the background it returns when the buffers may change again, the
  // optimizer's state as state_to_move_to() says; a save before it that is still being written is
  // waited for. Throws Error(kFile), also what a save before it ended with.
  void save(RunState state);
  // Where the next update has to put the optimizer's new state (AdamW::step), because the present
  // one is still being written; null: in its place.
  const OptimizerState* state_to_move_to() const;
  // After every step. The one that waited for the copy is not made longer still by the writing,
  // which begins behind it, unless saves are but a few steps apart.
  void step_done();
  // For a run that finds its last checkpoint written, but perhaps not what follows: `latest`, and
  // the removal of older ones.
  void complete(int64_t iteration);
  // The checkpoint that became complete since the last call, if one did; the first writer is told.
  // Throws what a save in the background ended with.
  std::optional<std::filesystem::path> take_completed();
  // Waits for what is being written, which goes on without rests, and throws what that ends with.
  void wait();

  // What saving in the background takes: as much as a copy of the buffers.
  static int64_t snapshot_bytes(const TrainingArenas& arenas);

 private:
  // What this rank has of a save.
  struct Part {
    StateBuffers buffers;
    RunState state;
  };
  int64_t shard() const { return writers_.ranks.rank(); }
  bool is_first() const { return writers_.ranks.rank() == 0; }
  bool is_alone() const { return writers_.ranks.size() == 1; }
  void agree(const std::function<void()>& work);
  void begin_folder(int64_t iteration);
  void begin_writing();
  bool is_busy() const { return unwritten_.has_value() || writing_.is_busy(); }
  Device& where_it_is() const;
  void write(const Part& part);
  void write_first(const Part& part);
  void write_gathered_model(CheckpointContent& content);
  void gather_model_for_first() const;
  void commit();
  void complete_together();
  Retention retention() const;
  StateBuffers hold_buffers();

  const RunConfig& config_;
  const RunLayout& layout_;
  const TrainingArenas& arenas_;
  Device& device_;
  const TrainingBuffers& buffers_;
  CheckpointWriters writers_;
  ModelCompanions companions_;
  std::optional<Arena> snapshot_;
  StateBuffers copy_;            // in the snapshot
  OptimizerState first_place_;   // of the optimizer's state, which is there or in the copy
  const float* held_ = nullptr;  // the first moments of the save under way, or of the last one
  Pace pace_;                    // of a save in the background that nobody waits for
  Pace::Clock::time_point last_save_ = Pace::Clock::now();  // or the beginning, before the first
  Pace::Clock::duration interval_{};                        // between the last two
  int64_t steps_since_save_ = 0;
  std::optional<Part> unwritten_;  // copied, and not yet begun to be written
  DirectBlocks blocks_;
  std::filesystem::path partial_path_;      // of the save under way, on every writer
  std::optional<CheckpointFolder> folder_;  // of the save under way, on the first
  std::string checksum_;                    // of this rank's shard
  bool unfinished_ = false;                 // a save of several writers has not been completed
  std::mutex mutex_;
  std::optional<std::filesystem::path> completed_;  // guarded
  SideTask writing_;
};

}  // namespace borealis
