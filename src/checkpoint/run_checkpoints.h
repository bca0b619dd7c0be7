// The checkpoints of a run, in the reference trainer's layout:
//   <checkpoint_dir>/global_step<N>/               a model folder (model_folder.h), and
//       state/state.json, state/shard-*.safetensors    what a run needs to go on (run_state.h)
//       checksums.xxh128                               of all of these files (checksums.h)
//   <checkpoint_dir>/latest                        "global_step<N>"
//   <checkpoint_dir>/latest_checkpointed_iteration.txt   "<N>"
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/folder_writer.h"
#include "checkpoint/model_conversion.h"
#include "checkpoint/model_folder.h"
#include "checkpoint/named_tensor.h"
#include "checkpoint/run_state.h"
#include "checkpoint/state_pieces.h"
#include "config/run_config.h"

namespace borealis {

// "global_step<N>", and N of such a name, in the one spelling that is written.
std::string step_folder_name(int64_t step);
std::optional<int64_t> step_of_folder(std::string_view name);

// All that a checkpoint is made of. What it points to must stay as it is until it is written.
struct CheckpointContent {
  ModelConfig model;
  std::vector<NamedTensor> tensors;
  SaveOptions options;
  RunState state;
  std::vector<TensorSource> pieces;  // of the first shard of those that the state says
};

// Which checkpoints stay when a new one is complete: the newest `keep_last` (0: all), and of the
// others those whose step `keep_every` divides (0: none).
struct Retention {
  int64_t keep_last = 0;
  int64_t keep_every = 0;
};

// A checkpoint while it is written, under a temporary name. Its first shard's rank has it; others
// write their shards into its folder.
class CheckpointFolder {
 public:
  // `blocks` must outlive this. Throws Error(kFile), here and below.
  CheckpointFolder(const std::filesystem::path& checkpoint_dir, int64_t step, DirectBlocks& blocks);

  const std::filesystem::path& partial_path() const { return folder_.partial_path(); }
  void write(const CheckpointContent& content);
  // That a shard was written, with this checksum.
  void add_shard(int64_t shard, int64_t shards, std::string checksum);
  // Once all shards are there: gives the folder its name and then does what complete_checkpoint
  // does. Returns the step's folder.
  std::filesystem::path commit(const Retention& retention);

 private:
  std::filesystem::path checkpoint_dir_;
  int64_t step_;
  FolderWriter folder_;
};
// Another rank's shard, into the folder with that partial_path(). Returns its checksum. Throws
// Error(kFile).
std::string write_state_shard(const std::filesystem::path& partial_path, int64_t shard,
                              int64_t shards, std::span<const TensorSource> pieces,
                              DirectBlocks& blocks);

// Writes the checkpoint of a model that was not trained here, as step 0 and without a training
// state. Throws Error(kFile).
std::filesystem::path save_first_checkpoint(const std::filesystem::path& checkpoint_dir,
                                            const ConvertedModel& model);

// Once the step's folder has its name: points the two text files at it, so that `latest` always
// names a complete checkpoint, and removes what `retention` does not keep. For one whose saver was
// killed in between, too; without such a folder it does nothing.
void complete_checkpoint(const std::filesystem::path& checkpoint_dir, int64_t step,
                         const Retention& retention);

// The steps of the folders global_step<N>, ascending. Empty where there is no such folder. Throws
// Error(kFile) where it may not be read, which is not to say that nothing is there.
std::vector<int64_t> checkpoint_steps(const std::filesystem::path& checkpoint_dir);

// Where a run may start from: the checkpoint that is meant by `given`, then those before it, newest
// first. `given` is a run's checkpoints (its `latest` says which; a damaged or missing `latest` is
// no hindrance) or one step's folder, which a copy may call otherwise. Empty where there are none,
// or no such folder. Throws as checkpoint_steps() does.
std::vector<std::filesystem::path> checkpoints_to_start_from(const std::filesystem::path& given);
// Why that folder's `latest` does not say which checkpoint is the newest. Empty where it does, or
// where there is none.
std::string fault_of_latest(const std::filesystem::path& checkpoint_dir);

// A checkpoint whose state.json was found to be whole.
struct OpenedCheckpoint {
  std::filesystem::path folder;
  FileChecksums checksums;
  RunState state;
};
// Throws Error(kData) or Error(kFile) naming what is damaged or missing.
OpenedCheckpoint open_checkpoint(const std::filesystem::path& folder);

// Reads the pieces of the state, from `first_shard` on, and verifies their files, and, unless
// another rank does, all other files of the checkpoint. Throws Error(kData) or Error(kFile) naming
// the file that is damaged; what was stored by then is of no use.
enum class Verify { kEveryFile, kStateAlone };
void load_checkpoint(const OpenedCheckpoint& checkpoint, std::span<const PieceTarget> targets,
                     DirectBlocks& blocks, Verify verify = Verify::kEveryFile,
                     int64_t first_shard = 0);

// The model folder meant by `given`: itself if it holds a config.json, else the one that its
// `latest` names. Throws Error(kFile) if it is neither, Error(kData) if `latest` is not the name of
// a model folder or if what is there are weights of a foreign form (foreign_weights.h).
std::filesystem::path find_model_folder(const std::filesystem::path& given);

}  // namespace borealis
