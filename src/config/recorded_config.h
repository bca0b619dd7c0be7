// A run's config.json (run_config_json.h) read back, by what looks at runs afterwards.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "config/run_config.h"

namespace borealis {

// What a step is made of: the model's name and shape, batch, ranks, recompute, dtype, threads,
// determinism and whether it was profiled; everything else has its default. Sizes are 1 to 2^24,
// layers and vocabulary as far as their options go (option_limits.h). Error(kData) where
// the document is not of a run; `name`: of its file.
RunConfig parse_recorded_config(const nlohmann::json& config, const std::string& name);

// Throws Error(kData) unless formulas can be computed of the model's sizes, which have the same
// bounds.
void require_shape(const ModelConfig& model);

}  // namespace borealis
