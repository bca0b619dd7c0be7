// Saves a run: in the background from a copy of its buffers where there is memory for one, so that
// training waits for the copy alone, else in the foreground.
#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>

#include "base/direct_file.h"
#include "base/pace.h"
#include "base/side_task.h"
#include "checkpoint/run_checkpoints.h"
#include "config/run_config.h"
#include "model/run_layout.h"
#include "tensor/arena.h"
#include "train/state_transfer.h"

namespace borealis {

class CheckpointSaver {
 public:
  // Of the buffers in `arenas`, which must outlive this, as `config` and `layout` must. The copy's
  // memory is taken here. Removes what killed processes left in the folder of the checkpoints.
  CheckpointSaver(const RunConfig& config, const RunLayout& layout, const TrainingArenas& arenas,
                  const TrainingBuffers& buffers, bool in_background);
  ~CheckpointSaver();  // waits for what is being written
  CheckpointSaver(const CheckpointSaver&) = delete;
  CheckpointSaver& operator=(const CheckpointSaver&) = delete;

  // Saves the run as it is now. In the background it returns when the buffers may change again;
  // a save before it that is still being written is waited for. Throws Error(kFile), also what a
  // save before it ended with.
  void save(RunState state);
  // For a run that finds its last checkpoint written, but perhaps not what follows: `latest`, and
  // the removal of older ones.
  void complete(int64_t iteration);
  // The checkpoint that became complete since the last call, if one did. Throws what a save in the
  // background ended with.
  std::optional<std::filesystem::path> take_completed();
  // Waits for what is being written, which goes on without rests, and throws what that ends with.
  void wait();

  // What a copy of the buffers takes.
  static int64_t snapshot_bytes(const TrainingArenas& arenas);

 private:
  void write(const StateBuffers& buffers, const RunState& state);
  Retention retention() const;
  StateBuffers copy_buffers();

  const RunConfig& config_;
  const RunLayout& layout_;
  const TrainingArenas& arenas_;
  StateBuffers live_;
  std::optional<Arena> snapshot_;
  StateBuffers copy_;  // in the snapshot
  Pace pace_;          // of a save in the background that nobody waits for
  Pace::Clock::time_point last_save_ = Pace::Clock::now();  // or the beginning, before the first
  DirectBlocks blocks_;
  std::mutex mutex_;
  std::optional<std::filesystem::path> completed_;  // guarded
  SideTask writing_;
};

}  // namespace borealis
