// RunConfig as a JSON document: the config.json of a run's folder.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "config/run_config.h"

namespace borealis {

nlohmann::json to_json(const RunConfig& config);

std::string_view lr_decay_style_name(LrDecayStyle style);  // as LR_DECAY_STYLE spells it

}  // namespace borealis
