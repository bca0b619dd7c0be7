// The numbers of a step under the names that the reference trainer logs them by to Weights & Biases
// (contract section 6.4), for trackers: wandb_run.h, tensorboard.h. Names that are not the
// reference's: throughput/gemm_share, training/global_batch_size, timers/*.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "config/run_config.h"
#include "telemetry/step_record.h"

namespace borealis {

struct TrackedMetric {
  std::string_view name;
  std::variant<int64_t, double> value;  // counts are whole numbers
};

// What a step's record does not say.
struct MetricContext {
  double parameters = 0;
  double lm_flops_per_token = 0;  // of StepRecord::tflops
  double ds_flops_per_token = 0;
  int64_t world_size = 1;
  int64_t data_parallel_size = 1;
  int64_t seq_length = 0;
};
MetricContext metric_context(const RunConfig& config, int64_t parameters,
                             double lm_flops_per_token);

// DeepSpeed's count, of the reference's throughput/tflops (contract section 6.2), per token:
//   6 [L ((2 + floor(2 / (a / k))) h h + 2 h s + 3 h f) + V h], and a third more with recompute
double ds_flops_per_token(const ModelConfig& model, int64_t seq_length, bool recompute);

// In a fixed order; what is not known or not finite, null in metrics.jsonl, is left out. Times are
// in seconds under the reference's names (elapsed_ms_per_iteration, too, as it has it), and in
// milliseconds under timers/.
std::vector<TrackedMetric> step_metrics(const StepRecord& step, const MetricContext& context);
std::vector<TrackedMetric> validation_metrics(const ValidationRecord& record);

}  // namespace borealis
