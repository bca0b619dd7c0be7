// What a run that goes on was configured with, beside what it is configured with now.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "config/run_config.h"

namespace borealis {

// The part of a configuration that a run's state keeps (RunState::configuration): all but the
// machine, the folders and what only concerns the log.
nlohmann::json saved_configuration(const RunConfig& config);

struct SettingChanges {
  std::vector<std::string> forbidden;  // "NLAYERS=4, and the checkpoint has 2"
  std::vector<std::string> allowed;    // "TRAIN_ITERS 20 -> 40"
};
// Learning rates and weight decay are among them with OVERRIDE_CKPT_OPT_PARAM alone: otherwise
// take_saved_schedule sees to those.
SettingChanges setting_changes(const nlohmann::json& saved, const RunConfig& config);
// Differences of the model alone, as `forbidden`: of a run that goes on both kinds are.
struct ModelDifferences {
  std::vector<std::string> shape;        // other weights
  std::vector<std::string> computation;  // the same weights, used in another way
};
ModelDifferences model_differences(const nlohmann::json& saved_model, const ModelConfig& model);

// Replaces the learning-rate schedule and weight decay of `config` by those that the run went with
// (contract section 4: without an override the checkpoint's win). Returns a line for each that
// differed, but for a decay length in steps of another global batch, which is no other for that.
// Throws Error(kData) if the saved ones cannot be read; `path` is for the message.
enum class DecaySteps { kAsNow, kOfAnotherBatch };
std::vector<std::string> take_saved_schedule(const nlohmann::json& saved, const std::string& path,
                                             RunConfig& config,
                                             DecaySteps steps = DecaySteps::kAsNow);

}  // namespace borealis
