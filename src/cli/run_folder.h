// The folders that a training run writes to.
#pragma once

#include <cstdint>
#include <memory>

#include "base/folder_lock.h"
#include "config/run_config.h"
#include "train/run_start.h"

namespace borealis {

// Holds them as long as the run lasts: no two runs write to one folder.
class RunFolders {
 public:
  // Makes config.output.run_dir (a derived name that is taken gets a number, in `config`) and the
  // folder of checkpoints, if the run saves. Throws Error(kFile): another process holds one, or it
  // cannot be written, or has no room for a checkpoint; Error(kConfig): --run-dir holds the records
  // of another run, which are not this one's history.
  RunFolders(RunConfig& config, const RunStart& start, int64_t parameters);

 private:
  std::unique_ptr<FolderLock> run_;
  std::unique_ptr<FolderLock> checkpoints_;
};

// Begins the run's log. Once a process.
void open_run_folder(const RunConfig& config);
// Writes what is known of the run before its first step.
void describe_run(const RunConfig& config, const RunStart& start);

}  // namespace borealis
