// The raw data of a performance report, line by line, in the layout of "AuroraGPT-v1 (Small)", so
// that scripts for it read ours (report/published_report.h does).
#pragma once

#include <string>

#include "publish/performance_report.h"

namespace borealis {

// One a run:
// "[M] [NHOST:1][MB:1][GAS:2][GB:2]  [@ STAMP][id:M, 1, NAME, GB, STAMP][TFLOPS-lm:LAST]\tMEDIAN".
std::string raw_tflops(const PerformanceReport& report);
// "machine: M, env.NHOSTS: 1, env.MODEL_ARCH: NAME, args.global_batch_size: GB, created_at:
// STAMP\tMEDIAN": tokens per rank and second.
std::string raw_tokens_per_gpu(const PerformanceReport& report);
// The same of all ranks together.
std::string raw_tokens(const PerformanceReport& report);
// The same with "[NAME][nlayers: L] " before and billions of parameters behind.
std::string raw_sizes(const PerformanceReport& report);

}  // namespace borealis
