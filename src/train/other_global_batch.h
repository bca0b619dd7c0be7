// What another GLOBAL_BATCH means for a run that goes on.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "checkpoint/run_state.h"
#include "config/run_config.h"

namespace borealis {

// TRAIN_TOKENS are those of the whole run: TRAIN_ITERS becomes the steps done and those that the
// tokens left are enough for. Nothing changes for a run whose steps all have had this batch.
void end_with_train_tokens(const RunState& state, RunConfig& config);

// The state goes on with the configuration's global batch instead of the `saved` configuration's.
// The learning rate goes by iterations, which end where they did, or by samples if TRAIN_TOKENS
// says where the run ends. Throws Error(kData) if the saved batch cannot be read; `path` is for the
// message.
void begin_other_global_batch(const nlohmann::json& saved, const std::string& path,
                              const RunConfig& config, RunState& state);

// The last iteration of the learning-rate schedule.
int64_t last_of_schedule(const RunState& state, const RunConfig& config);

}  // namespace borealis
