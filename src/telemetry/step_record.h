// What one optimizer step leaves behind: the fields of metrics.jsonl and of the iteration log line.
#pragma once

#include <cstdint>
#include <optional>

namespace borealis {

// Why a step made no update.
enum class SkipReason {
  kNone,
  kNotFinite,    // loss or gradient norm
  kNormSpike,    // far above the norms before it (optim/norm_spikes.h)
  kRange,        // its data was passed over on purpose: no loss either
  kForwardOnly,  // asked for: a loss without an update
  kNoTokens,     // none of its tokens counts in the loss: there is no loss either
};

// Of a time that every rank has of its own.
struct RankTimes {
  double min_ms = 0;
  double median_ms = 0;
  double max_ms = 0;
};

// Of a step of several ranks, without what they waited for each other.
struct StepTimesOfRanks {
  RankTimes data = {}, forward = {}, backward = {}, optimizer = {};
  RankTimes forward_backward = {};  // with data
  RankTimes computing = {};         // all of them together
  int64_t slowest = 0;              // the rank that computed longest
};

struct StepRecord {
  int64_t iteration = 0;         // 1-based
  int64_t consumed_samples = 0;  // after this step
  int64_t consumed_tokens = 0;
  double elapsed_ms = 0;          // wall time since the previous record
  double learning_rate = 0;       // used by this step
  double next_learning_rate = 0;  // what the reference's log line prints
  int64_t global_batch_size = 0;
  double lm_loss = 0;               // mean token cross entropy, nats
  std::optional<double> grad_norm;  // before clipping
  bool skipped = false;             // no update was made
  SkipReason skip_reason = SkipReason::kNone;
  int64_t skipped_iterations = 0;  // since the start of the run
  double samples_per_second = 0;
  double tokens_per_gpu_per_second = 0;  // "gpu" = rank, as in the contract
  double tflops = 0;                     // the reference's LM formula, per rank
  double gemm_share = 0;                 // tflops / measured GEMM rate
  double forward_ms = 0;
  double backward_ms = 0;
  double optimizer_ms = 0;
  double communication_ms = 0;
  double data_ms = 0;
  // Where there are several; the times above are rank 0's.
  std::optional<StepTimesOfRanks> of_ranks = {};
  // Since the first step began, of all processes of the run: not kept in files, but added up by
  // StepSeries.
  double training_ms = 0;
  // Kept by a StepSeries for what it is, and not because its turn came: means leave it out.
  bool stands_out = false;
};

// What a model is evaluated on.
enum class EvaluatedSet { kValidation, kTest };

struct ValidationRecord {
  int64_t iteration = 0;
  double lm_loss = 0;
  double perplexity = 0;  // exp(min(20, loss))
  bool at_end = false;    // after the last step, not at an interval
  EvaluatedSet set = EvaluatedSet::kValidation;
  int64_t samples = 0;  // drawn; not known of one that was read back
};

}  // namespace borealis
