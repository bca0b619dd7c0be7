// The log of the reference trainer (Megatron-DeepSpeed), or what Borealis prints in its layout, as
// a measured run: its list of arguments and its line an iteration.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "publish/measured_run.h"

namespace borealis {

// Whether the text has lines "iteration=... | ... | TFLOPs=... |".
bool is_trainer_log(std::string_view text);

// Arguments read "  hidden_size ........ 3072"; without those of the shape, the batch and the ranks
// there is no run: Error(kData), with `name`, the file's. A line stands for all steps since the one
// before it; those that hold one of the first `warmup_steps` are left out, and of a log that a
// resumed run went on in, what came again. Its numbers are rounded: MeasuredRun::rounding.
MeasuredRun parse_trainer_log(std::string_view text, const std::string& name, int64_t warmup_steps);

}  // namespace borealis
