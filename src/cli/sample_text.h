// The few lines that a freshly trained model writes into its report.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "config/run_config.h"
#include "kernels/backend.h"
#include "tensor/parameter_buffers.h"

namespace borealis {

struct SampleText {
  std::string prompt;  // as the tokenizer gives it back
  std::string text;    // what it grew by
};

// Nothing where the run has no tokenizer (random tokens, a tokenizer that is not on this machine)
// or no room is left. idle_memory: of training, on its backend, which it overwrites and lives in
// where it can, so that the sample does not take more than the run was planned with.
std::optional<SampleText> sample_text(const RunConfig& config, const ParameterBuffers& parameters,
                                      int threads, std::span<std::byte> idle_memory,
                                      Backend& backend);

}  // namespace borealis
