// The weights of a few steps of the trainer against those of the same steps made by hand.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "data/batch_loader.h"
#include "kernels/reference/adamw.h"
#include "model/parameter_layout.h"
#include "optim/lr_schedule.h"
#include "support/small_models.h"
#include "support/trainable_model.h"
#include "train/trainer.h"

namespace borealis {
namespace {

constexpr int64_t kSteps = 4;

RunConfig masked_run() {
  RunConfig config;
  config.dtype = DType::kF32;
  config.model = testing::small_llama(2);
  config.model.max_position_embeddings = 16;
  config.model.vocab_size = 8;  // so that random documents end often
  config.batch = {
      .seq_length = 16, .micro_batch_size = 2, .grad_accum_steps = 2, .global_batch_size = 4};
  config.data.mock_data = true;
  config.data.split = "90,10,0";
  config.data.eod_token = 5;
  config.data.eod_mask_loss = true;
  config.data.reset_position_ids = true;
  config.data.reset_attention_mask = true;
  config.limits.train_iters = kSteps;
  config.limits.eval_interval = 0;
  config.limits.save_interval = 0;
  config.schedule.learning_rate = 1e-2;
  config.schedule.decay_style = LrDecayStyle::kConstant;
  config.schedule.warmup_fraction = 0.75;
  config.optimizer.max_grad_norm = 0.1;
  // Beside a small eps AdamW takes a gradient and a multiple of it for the same.
  config.optimizer.eps = 1e-2;
  config.output.save_checkpoints = false;
  return config;
}

// A step as one would write it first: AdamW in double (kernels/reference), and the gradients are of
// the mean over the counted tokens, whose number is taken beforehand.
class PlainTraining {
 public:
  explicit PlainTraining(const RunConfig& config)
      : config_(config),
        model_(config.model, DType::kF32, config.batch.micro_batch_size, config.batch.seq_length),
        source_(make_batch_source(config, Split::kTrain, 0)),
        weights_(model_.gradients.size()),
        m_(weights_.size()),
        v_(weights_.size()) {
    initialize_parameters(model_.parameters, config.seed);
    std::copy_n(model_.parameters.weights_as<float>(), weights_.size(), weights_.begin());
  }

  void step(double learning_rate) {
    accumulate_gradients();
    double squares = 0;
    for (const Parameter& p : model_.table.entries()) {
      for (int64_t i = p.offset; i < p.offset + p.size(); ++i) {
        squares += std::pow(static_cast<double>(model_.gradients[static_cast<size_t>(i)]), 2);
      }
    }
    grad_norm = std::sqrt(squares);
    const double clip = std::min(1.0, config_.optimizer.max_grad_norm / (grad_norm + 1e-6));
    ++steps_;
    AdamWStep step{.learning_rate = learning_rate,
                   .beta1 = config_.optimizer.beta1,
                   .beta2 = config_.optimizer.beta2,
                   .eps = config_.optimizer.eps,
                   .bias_correction1 = 1 - std::pow(config_.optimizer.beta1, steps_),
                   .bias_correction2 = 1 - std::pow(config_.optimizer.beta2, steps_)};
    for (const Parameter& p : model_.table.entries()) {
      step.weight_decay = p.shape.size() > 1 ? config_.optimizer.weight_decay : 0;
      std::vector<double> gradient(static_cast<size_t>(p.size()));
      for (size_t i = 0; i < gradient.size(); ++i) {
        gradient[i] = clip * static_cast<double>(model_.gradients[to_index(p) + i]);
      }
      reference::adamw_update(&weights_[to_index(p)], &m_[to_index(p)], &v_[to_index(p)],
                              gradient.data(), p.size(), step);
    }
    std::ranges::transform(weights_, model_.parameters.weights_as<float>(),
                           [](double x) { return static_cast<float>(x); });
  }

  const ParameterTable& table() const { return model_.table; }
  const std::vector<double>& weights() const { return weights_; }
  double grad_norm = 0;
  double loss = 0;
  int64_t counted = 0;

 private:
  static size_t to_index(const Parameter& p) { return static_cast<size_t>(p.offset); }

  void accumulate_gradients() {
    std::vector<Batch> batches(static_cast<size_t>(config_.batch.grad_accum_steps));
    counted = 0;
    for (Batch& batch : batches) {
      source_->next(batch);
      counted += batch.loss_tokens();
    }
    loss = 0;
    for (size_t i = 0; i < batches.size(); ++i) {
      PassTimes times;
      loss += model_.model->forward_backward(batches[i], 1.0F / static_cast<float>(counted),
                                             /*accumulate=*/i > 0, times) /
              static_cast<double>(counted);
    }
  }

  RunConfig config_;
  testing::TrainableModel model_;
  std::unique_ptr<BatchSource> source_;
  std::vector<double> weights_, m_, v_;
  int steps_ = 0;
};

std::vector<float> weights_of(const Trainer& trainer) {
  const float* weights = trainer.parameters().weights_as<float>();
  return {weights, weights + trainer.parameters().table->buffer_elements()};
}

// What an update takes: this step's learning rate, the clip factor, and the factor of the masked
// tokens. The next step's learning rate, or a factor of 1, makes 1e-5 of a weight and more.
TEST(TrainerOracle, WeightsAreThoseOfStepsByHand) {
  RunConfig config = masked_run();
  const RunLayout layout = make_run_layout(config, 2);
  Trainer trainer(config, layout, StartChooser(config).next(config), {});
  PlainTraining plain(config);
  const double samples = 4;
  for (int64_t iteration = 1; iteration <= kSteps; ++iteration) {
    const StepRecord record = trainer.train_step(iteration);
    plain.step(learning_rate_at(config.schedule, samples * static_cast<double>(iteration - 1),
                                samples * kSteps));
    ASSERT_FALSE(record.skipped);
    EXPECT_LT(plain.counted, 4 * 16);
    EXPECT_GT(plain.grad_norm, 1.5 * config.optimizer.max_grad_norm);
    EXPECT_NEAR(record.lm_loss, plain.loss, 1e-6);
    EXPECT_NEAR(record.grad_norm.value(), plain.grad_norm, 1e-5 * plain.grad_norm);
    // f32 gradients are some 1e-6 off, of which an update of up to 1e-2 makes 1e-8; the rounding of
    // a gain near 1 is 6e-8 a step.
    const std::vector<float> trained = weights_of(trainer);
    for (const Parameter& p : plain.table().entries()) {
      for (auto i = static_cast<size_t>(p.offset); i < static_cast<size_t>(p.offset + p.size());
           ++i) {
        ASSERT_NEAR(trained[i], plain.weights()[i], 5e-7) << p.name << " after step " << iteration;
      }
    }
  }
}

TEST(TrainerOracle, TheFirstStepOfAWarmupChangesNoBit) {
  RunConfig config = masked_run();
  const RunLayout layout = make_run_layout(config, 2);
  Trainer trainer(config, layout, StartChooser(config).next(config), {});
  const std::vector<float> initial = weights_of(trainer);
  trainer.train_step(1);
  EXPECT_EQ(trainer.state().optimizer_steps, 1);
  EXPECT_EQ(weights_of(trainer), initial);
  trainer.train_step(2);
  EXPECT_NE(weights_of(trainer), initial);
}

}  // namespace
}  // namespace borealis
