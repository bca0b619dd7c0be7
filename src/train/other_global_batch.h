// What another GLOBAL_BATCH means for a run that goes on.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "checkpoint/run_state.h"
#include "config/run_config.h"

namespace borealis {

// TRAIN_TOKENS are those of the whole run: TRAIN_ITERS becomes the steps done and those that the
// tokens left are enough for, which is what it was if all steps have had this batch.
void end_with_train_tokens(const RunState& state, RunConfig& config);

// Where the schedule stands in a run whose steps have had other batches than the configuration's:
// the checkpoint's schedule, or with OVERRIDE_CKPT_OPT_PARAM the command's. Where TRAIN_TOKENS says
// where the run ends, the learning rate goes by samples, else by iterations; the command's has its
// decay length set then. `state` is the checkpoint's. Throws Error(kData) if its configuration has
// no batch; `path` is for the message.
GlobalBatchStart batch_start_of_resumed(const RunState& state, const std::string& path,
                                        RunConfig& config);
// The same where iterations begin anew (--reset-iteration).
GlobalBatchStart batch_start_of_reset(const RunState& state, const std::string& path,
                                      const RunConfig& config);

// The last iteration of the learning-rate schedule.
int64_t last_of_schedule(const GlobalBatchStart& start, const RunConfig& config);

}  // namespace borealis
