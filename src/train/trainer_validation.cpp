// The Trainer's passes over data that it does not train on.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>

#include "data/batch_loader.h"
#include "train/trainer.h"

namespace borealis {
namespace {

constexpr double kLargestLossInPerplexity = 20;  // exp of more says nothing (contract section 10.1)

}  // namespace

bool Trainer::evaluation_is_due(int64_t iteration) const {
  return valid_data_ && config_.limits.eval_iters > 0 &&
         iteration % config_.limits.eval_interval == 0;
}

// Over eval_iters rounds of the micro-batches of a step (contract section 10.1).
ValidationRecord Trainer::validate(Split split, int64_t iteration,
                                   const std::function<void(int64_t, int64_t)>& after_round) {
  ranks_.set_phase(fmt::format("evaluation after step {}", iteration));
  std::unique_ptr<BatchSource> own;
  BatchSource* source = valid_data_.get();
  if (split == Split::kTest) {
    own = batches_of(Split::kTest, 0);
    source = own.get();
  }
  const int64_t batches = config_.limits.eval_iters * config_.batch.grad_accum_steps;
  const int64_t samples_of_a_round =
      config_.batch.micro_batch_size * config_.parallel.data_parallel_size();
  StepLoss loss = loss_of(batches);
  for (int64_t i = 1; i <= batches; ++i) {
    next_batch(*source, loss);
    loss.add(batch_, model_->forward(batch_));
    if (after_round && i % config_.batch.grad_accum_steps == 0) {
      after_round(i / config_.batch.grad_accum_steps, config_.limits.eval_iters);
    }
  }
  add_up(loss);
  // Not before all of them could be used: a resumed run validates on the same.
  if (split == Split::kValid) state_.consumed.valid += batches * samples_of_a_round;
  // Of NaN, where no token counts, NaN: the mean comes first.
  const double perplexity = std::exp(std::min(loss.mean(), kLargestLossInPerplexity));
  return {.iteration = iteration,
          .lm_loss = loss.mean(),
          .perplexity = perplexity,
          .set = split == Split::kTest ? EvaluatedSet::kTest : EvaluatedSet::kValidation,
          .samples = config_.limits.eval_iters * config_.batch.global_batch_size};
}

void Trainer::validate_at_end(const TrainerEvents& events, int64_t iteration) {
  if (config_.limits.eval_iters == 0) return;
  const auto report = [&](Split split) {
    ValidationRecord record = validate(split, iteration, events.on_evaluation);
    record.at_end = true;
    if (events.on_validation) events.on_validation(record);
  };
  if (valid_data_) report(Split::kValid);
  if (split_is_built(config_, Split::kTest)) report(Split::kTest);
}

}  // namespace borealis
