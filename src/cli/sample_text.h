// The few lines that a freshly trained model writes into its report.
#pragma once

#include <optional>
#include <string>

#include "config/run_config.h"
#include "tensor/parameter_buffers.h"

namespace borealis {

struct SampleText {
  std::string prompt;
  std::string text;
};

// Nothing where the run has no tokenizer (random tokens, a tokenizer that is not on this machine).
std::optional<SampleText> sample_text(const RunConfig& config, const ParameterBuffers& parameters);

}  // namespace borealis
