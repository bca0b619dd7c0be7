#pragma once

#include <string>

#include "comm/communicator.h"
#include "config/run_config.h"
#include "data/batch_loader.h"
#include "kernels/backend.h"
#include "model/run_layout.h"
#include "planner/planner.h"
#include "train/run_start.h"

namespace borealis {

// A run as it was decided on before anything is allocated.
struct PlannedRun {
  RunConfig config;
  RunStart start;
  int threads = 1;
  std::string device;  // that computes, as a log names it
  RunLayout layout;
  DataDescription data;
  Prediction prediction;
};

// The next start to try, and what the run needs with it. Throws Error(kMemory) if it does not fit.
PlannedRun plan_run(const RunConfig& asked, int threads, StartChooser& starts, Backend& backend);

// A save of several ranks is one: in the background on all of them, or on none, whatever memory
// each of them has. Of all ranks, together.
void agree_on_saving(Communicator& ranks, PlannedRun& run);

void log_configuration(const PlannedRun& run);
void log_start(const PlannedRun& run);

}  // namespace borealis
