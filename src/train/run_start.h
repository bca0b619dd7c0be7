// Where a run starts from: scratch, the newest usable checkpoint of a run that goes on, or the
// weights of a model.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoint/run_checkpoints.h"
#include "config/run_config.h"

namespace borealis {

struct RunStart {
  RunState state;  // of a run that begins: all zero, with the order of its data
  std::optional<OpenedCheckpoint> checkpoint;  // whose numbers are loaded
  bool load_moments = false;                   // with them those of the optimizer
  std::filesystem::path model_folder;          // of weights without a state; empty: none

  bool resumes = false;  // its iterations go on from the checkpoint's
};

// A file of a checkpoint that was chosen turned out to be damaged while it was read.
class DamagedCheckpoint : public Error {
 public:
  explicit DamagedCheckpoint(const Error& error) : Error(error) {}
};

class StartChooser {
 public:
  // Finds the checkpoints that `config.checkpoint` and `config.output` mean. Throws Error(kConfig)
  // where the run would mix its checkpoints with those of another.
  explicit StartChooser(const RunConfig& config);

  // The next one to try: newest first, and scratch where there are none. Puts into `config` what
  // the checkpoint decides (its learning-rate schedule, unless that is overridden), and adds lines
  // for the log to its notes and warnings; each damaged one is a warning. Throws Error(kConfig)
  // listing every setting that must not differ and does; Error(kData) when all that there are
  // turned out damaged.
  RunStart next(RunConfig& config);
  // Once the folder of checkpoints is this run's alone. Throws Error(kFile) where another run has
  // saved or removed some since they were found.
  void require_newest(const RunConfig& config) const;
  // The one that next() gave cannot be loaded.
  void reject(const DamagedCheckpoint& damage);

 private:
  void choose_source(const RunConfig& config);
  void tell_of_new_run(const RunConfig& config);
  RunStart from_scratch(RunConfig& config) const;
  RunStart from_weights(RunConfig& config, const nlohmann::json& model,
                        const std::filesystem::path& folder) const;
  RunStart from_model(RunConfig& config, const std::filesystem::path& folder) const;
  RunStart from_checkpoint(RunConfig& config, OpenedCheckpoint checkpoint) const;

  std::vector<std::filesystem::path> candidates_;  // left to try, newest first
  std::filesystem::path newest_;                   // where the run saves
  bool any_ = false;                               // there were candidates
  bool weights_only_ = false;
  bool reset_ = false;
  bool has_begun_ = false;                // with LOAD: its own checkpoints are gone on from
  std::filesystem::path weights_folder_;  // of a model without state
  std::vector<std::string> notes_;
  std::vector<std::string> warnings_;
};

}  // namespace borealis
