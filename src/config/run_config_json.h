// RunConfig as a JSON document: the config.json of a run's folder.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "config/run_config.h"

namespace borealis {

nlohmann::json to_json(const RunConfig& config);

}  // namespace borealis
