// Learning-rate schedules of the contract (section 4), as pure functions of samples consumed.
#pragma once

#include "config/run_config.h"

namespace borealis {

// `decay_samples` is D = decay iterations * global batch. Warm-up goes from 0 to the peak over
// warmup_fraction * D samples; what follows is the style's own (Loshchilov & Hutter 2017 for
// cosine; Zhai et al. 2022 for inverse square root with cooldown; Haegele et al. 2024 for constant
// with a square-root cooldown and for the infinite schedules).
double learning_rate_at(const ScheduleConfig& schedule, double samples, double decay_samples);

}  // namespace borealis
