#include "model/decoder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"
#include "support/small_models.h"
#include "support/trainable_model.h"

namespace borealis {
namespace {

using testing::make_batch;
using testing::small_llama;
using testing::TrainableModel;

constexpr int64_t B = 2, T = 21;

Batch random_batch(const ModelConfig& model, uint64_t stream = 5) {
  const RandomStream random(11, stream);
  std::vector<int32_t> tokens(B * (T + 1));
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = static_cast<int32_t>(random.below(i, static_cast<uint32_t>(model.vocab_size)));
  }
  return make_batch(tokens.data(), B, T);
}

struct Pass {
  double loss = 0;
  std::vector<float> gradients;
};

Pass run(const ModelConfig& config, DType dtype, RecomputeConfig recompute = {}, int threads = 2) {
  omp_set_num_threads(threads);
  TrainableModel model(config, dtype, B, T, recompute, threads);
  initialize_parameters(model.parameters, 3);
  PassTimes times;
  Pass pass;
  pass.loss = model.model->forward_backward(random_batch(config), 0.01f, times);
  // A second micro-batch adds to the first one's gradients.
  pass.loss += model.model->forward_backward(random_batch(config, 6), 0.01f, times);
  pass.gradients = model.gradients;
  omp_set_num_threads(2);
  return pass;
}

TEST(Decoder, RecomputeGivesTheSameBits) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const int64_t layers : {1, 4, 5}) {
      const ModelConfig config = small_llama(layers);
      const Pass kept = run(config, dtype);
      for (const int64_t stretch : {1, 2, 3, 8}) {
        const Pass recomputed = run(config, dtype, {true, stretch});
        EXPECT_EQ(kept.loss, recomputed.loss);
        EXPECT_EQ(kept.gradients, recomputed.gradients) << layers << " layers by " << stretch;
      }
    }
  }
}

TEST(Decoder, TwoRunsGiveTheSameBits) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const Pass first = run(small_llama(), dtype), second = run(small_llama(), dtype);
    EXPECT_EQ(first.loss, second.loss);
    EXPECT_EQ(first.gradients, second.gradients);
  }
}

TEST(Decoder, MicroBatchesAccumulate) {
  const ModelConfig config = small_llama();
  TrainableModel model(config, DType::kF32, B, T);
  initialize_parameters(model.parameters, 3);
  PassTimes times;
  std::vector<std::vector<float>> single;
  for (const uint64_t stream : {5, 6}) {
    model.zero_gradients();
    model.model->forward_backward(random_batch(config, stream), 0.01f, times);
    single.push_back(model.gradients);
  }
  const Pass both = run(config, DType::kF32);
  double distance = 0, length = 0;
  for (size_t i = 0; i < both.gradients.size(); ++i) {
    const double sum = static_cast<double>(single[0][i]) + single[1][i];
    distance += std::pow(both.gradients[i] - sum, 2);
    length += sum * sum;
  }
  EXPECT_GT(length, 0);
  EXPECT_LT(std::sqrt(distance / length), 1e-6);
}

// The whole backward pass along random directions in parameter space, for every combination of tied
// head and layers without RoPE.
TEST(Decoder, BackwardAgreesWithFiniteDifferences) {
  for (const bool tied : {false, true}) {
    ModelConfig config = small_llama(2);
    config.tie_word_embeddings = tied;
    config.rope_on_layer[1] = false;
    TrainableModel model(config, DType::kF32, B, T);
    initialize_parameters(model.parameters, 3);
    auto* weights = model.parameters.weights_as<float>();
    const Batch batch = random_batch(config);
    PassTimes times;
    model.model->forward_backward(batch, 1.0f, times);
    const std::vector<float> start(weights, weights + model.table.buffer_elements());
    for (const Parameter& p : model.table.entries()) {
      // Along the gradient itself the derivative is its squared length, far above f32's noise.
      double squared = 0;
      for (int64_t i = 0; i < p.size(); ++i) {
        squared += std::pow(model.gradients[static_cast<size_t>(p.offset + i)], 2);
      }
      const double step = 0.02 / std::sqrt(squared);
      const auto loss_at = [&](double t) {
        for (int64_t i = 0; i < p.size(); ++i) {
          const auto at = static_cast<size_t>(p.offset + i);
          weights[at] = static_cast<float>(start[at] + t * model.gradients[at]);
        }
        return model.model->forward(batch);
      };
      const double numeric = (loss_at(step) - loss_at(-step)) / (2 * step);
      loss_at(0);
      // central differences of step 0.02 leave a third-order term of some 1e-3
      EXPECT_NEAR(numeric / squared, 1.0, 5e-3) << p.name << (tied ? " (tied)" : "");
    }
  }
}

TEST(Decoder, ForwardAgreesWithForwardBackward) {
  const ModelConfig config = small_llama();
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    TrainableModel model(config, dtype, B, T, {true, 2});
    initialize_parameters(model.parameters, 3);
    PassTimes times;
    const double trained = model.model->forward_backward(random_batch(config), 1.0f, times);
    EXPECT_EQ(model.model->forward(random_batch(config)), trained);
  }
}

TEST(Decoder, LossOfFreshWeightsIsNearTheLogarithmOfTheVocabulary) {
  const ModelConfig config = small_llama();
  const Pass pass = run(config, DType::kF32);
  EXPECT_NEAR(pass.loss / (2 * B * T), std::log(128.0), 0.2);
}

}  // namespace
}  // namespace borealis
