#include "model/decoder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "base/random.h"
#include "kernels/cross_entropy.h"
#include "support/small_models.h"
#include "support/trainable_model.h"

namespace borealis {
namespace {

using testing::make_batch;
using testing::small_llama;
using testing::TrainableModel;

constexpr int64_t kBatch = 2, kLength = 21;

Batch random_batch(const ModelConfig& model, uint64_t stream = 5) {
  const RandomStream random(11, stream);
  std::vector<int32_t> tokens(kBatch * (kLength + 1));
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = static_cast<int32_t>(random.below(i, static_cast<uint32_t>(model.vocab_size)));
  }
  return make_batch(tokens.data(), kBatch, kLength);
}

struct Pass {
  double loss = 0;
  std::vector<float> gradients;
};

Pass run(const ModelConfig& config, DType dtype, RecomputeConfig recompute = {}, int threads = 2) {
  omp_set_num_threads(threads);
  TrainableModel model(config, dtype, kBatch, kLength, recompute, threads);
  initialize_parameters(model.parameters, 3);
  PassTimes times;
  Pass pass;
  model.poison_gradients();
  pass.loss = model.model->forward_backward(random_batch(config), 0.01f, false, times);
  // A second micro-batch adds to the first one's gradients.
  pass.loss += model.model->forward_backward(random_batch(config, 6), 0.01f, true, times);
  pass.gradients = model.gradients;
  omp_set_num_threads(2);
  return pass;
}

TEST(Decoder, RecomputeGivesTheSameBits) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const int64_t layers : {1, 4, 5}) {
      const ModelConfig config = small_llama(layers);
      const Pass kept = run(config, dtype);
      for (const int64_t segment : {1, 2, 3, 8}) {
        const Pass recomputed = run(config, dtype, {true, segment});
        EXPECT_EQ(kept.loss, recomputed.loss);
        EXPECT_EQ(kept.gradients, recomputed.gradients) << layers << " layers by " << segment;
      }
    }
  }
}

TEST(Decoder, RowsOfTheEmbeddingsGradientAreTheDenseOnes) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const ModelConfig config = small_llama();
    const Pass dense = run(config, dtype);
    TrainableModel model(config, dtype, kBatch, kLength);
    initialize_parameters(model.parameters, 3);
    const RowGradientsShape rows{config.vocab_size, config.hidden_size, config.vocab_size,
                                 kBatch * kLength};
    Arena rows_memory(rows.bytes(), "rows");
    RowGradients by_rows(rows, rows_memory);
    ParameterBuffers parameters = model.parameters;
    parameters.embedding_gradient = &by_rows;
    const auto decoder = make_language_model(model.shape, parameters);
    PassTimes times;
    double loss = decoder->forward_backward(random_batch(config), 0.01f, false, times);
    loss += decoder->forward_backward(random_batch(config, 6), 0.01f, true, times);
    EXPECT_EQ(loss, dense.loss);
    const int64_t first = parameters.first_dense();
    for (int64_t i = 0; i < first; ++i) {
      EXPECT_EQ(by_rows.row(i / config.hidden_size)[i % config.hidden_size],
                dense.gradients[static_cast<size_t>(i)]);
    }
    for (int64_t i = 0; i < parameters.gradient_elements(); ++i) {
      EXPECT_EQ(parameters.gradients[i], dense.gradients[static_cast<size_t>(first + i)]);
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
  TrainableModel model(config, DType::kF32, kBatch, kLength);
  initialize_parameters(model.parameters, 3);
  PassTimes times;
  std::vector<std::vector<float>> single;
  for (const uint64_t stream : {5, 6}) {
    model.poison_gradients();
    model.model->forward_backward(random_batch(config, stream), 0.01f, false, times);
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

// A batch of one sequence for every document of `lengths`, or of one that holds them all.
struct Documents {
  std::vector<int64_t> lengths;
  int64_t total() const { return std::accumulate(lengths.begin(), lengths.end(), int64_t{0}); }

  Batch packed(const ModelConfig& config) const {
    const RandomStream random(11, 40);
    Batch batch{1, total(), {}, {}};
    for (const int64_t length : lengths) {
      const auto start = static_cast<int32_t>(batch.tokens.size());
      for (int64_t i = 0; i < length; ++i) {
        const auto at = 2 * static_cast<uint64_t>(start + i);
        const auto V = static_cast<uint32_t>(config.vocab_size);
        batch.tokens.push_back(static_cast<int32_t>(random.below(at, V)));
        batch.targets.push_back(static_cast<int32_t>(random.below(at + 1, V)));
        batch.positions.push_back(static_cast<int32_t>(i));
        batch.document_starts.push_back(start);
      }
      batch.targets.back() = kNoTarget;
    }
    return batch;
  }
  Batch alone(const ModelConfig& config, size_t document) const {
    const Batch all = packed(config);
    const auto begin = std::accumulate(lengths.begin(), lengths.begin() + document, int64_t{0});
    const auto end = begin + lengths[document];
    return {1,
            lengths[document],
            {all.tokens.begin() + begin, all.tokens.begin() + end},
            {all.targets.begin() + begin, all.targets.begin() + end}};
  }
};

struct DocumentPass {
  double loss = 0;
  std::vector<float> logits, gradients;
};

DocumentPass run_batch(const ModelConfig& config, DType dtype, const Batch& batch) {
  TrainableModel model(config, dtype, 1, batch.seq_length);
  initialize_parameters(model.parameters, 3);
  PassTimes times;
  DocumentPass pass;
  pass.logits.resize(static_cast<size_t>(batch.seq_length * config.vocab_size));
  model.model->logits(batch, pass.logits.data());
  pass.loss = model.model->forward_backward(batch, 0.01f, false, times);
  EXPECT_EQ(model.model->forward(batch), pass.loss);
  pass.gradients = model.gradients;
  return pass;
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double difference = 0, length = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - b[i], 2);
    length += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(difference / length);
}

// Attention that stops, positions that restart, and the loss of the last token masked: what packed
// documents give is what each gives by itself.
TEST(Decoder, PackedDocumentsGiveWhatEachGivesAlone) {
  ModelConfig config = small_llama(3);
  config.rope_on_layer[1] = false;
  config.max_position_embeddings = 512;
  const Documents documents{{37, 1, 150, 16, 64, 5, 100}};
  // In bf16 the tiles of a document begin elsewhere when it is packed, so sums round differently.
  for (const auto& [dtype, bound] : {std::pair{DType::kF32, 2e-6}, std::pair{DType::kBF16, 1e-2}}) {
    const DocumentPass packed = run_batch(config, dtype, documents.packed(config));
    DocumentPass sum;
    sum.gradients.resize(packed.gradients.size());
    for (size_t d = 0; d < documents.lengths.size(); ++d) {
      const DocumentPass alone = run_batch(config, dtype, documents.alone(config, d));
      sum.loss += alone.loss;
      sum.logits.insert(sum.logits.end(), alone.logits.begin(), alone.logits.end());
      for (size_t i = 0; i < sum.gradients.size(); ++i) sum.gradients[i] += alone.gradients[i];
    }
    EXPECT_NEAR(packed.loss, sum.loss, bound * sum.loss);
    EXPECT_LT(distance(packed.logits, sum.logits), bound);
    EXPECT_LT(distance(packed.gradients, sum.gradients), bound);
  }
}

// Each of the three matters. Restarted positions do so only where attention crosses documents: RoPE
// knows differences of positions, which are the same inside a document.
TEST(Decoder, EveryDocumentOptionChangesTheResult) {
  const ModelConfig config = small_llama(2);
  const Batch all = Documents{{9, 14, 11}}.packed(config);
  const auto logits = [&](bool positions, bool starts) {
    Batch batch = all;
    if (!positions) batch.positions.clear();
    if (!starts) batch.document_starts.clear();
    return run_batch(config, DType::kF32, batch).logits;
  };
  EXPECT_GT(distance(logits(false, false), logits(false, true)), 1e-3);
  EXPECT_GT(distance(logits(false, false), logits(true, false)), 1e-3);
  EXPECT_LT(distance(logits(false, true), logits(true, true)), 1e-5);
  Batch unmasked = all;
  for (int32_t& target : unmasked.targets) target = std::max(target, 0);
  EXPECT_GT(run_batch(config, DType::kF32, unmasked).loss,
            run_batch(config, DType::kF32, all).loss + 3);
}

// The whole backward pass along random directions in parameter space, for every combination of tied
// head and layers without RoPE.
TEST(Decoder, BackwardAgreesWithFiniteDifferences) {
  for (const bool tied : {false, true}) {
    ModelConfig config = small_llama(2);
    config.tie_word_embeddings = tied;
    config.rope_on_layer[1] = false;
    TrainableModel model(config, DType::kF32, kBatch, kLength);
    initialize_parameters(model.parameters, 3);
    auto* weights = model.parameters.weights_as<float>();
    const Batch batch = random_batch(config);
    PassTimes times;
    model.model->forward_backward(batch, 1.0f, false, times);
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
    TrainableModel model(config, dtype, kBatch, kLength, {true, 2});
    initialize_parameters(model.parameters, 3);
    PassTimes times;
    const double trained = model.model->forward_backward(random_batch(config), 1.0f, false, times);
    EXPECT_EQ(model.model->forward(random_batch(config)), trained);
  }
}

TEST(Decoder, LossOfFreshWeightsIsNearTheLogarithmOfTheVocabulary) {
  const ModelConfig config = small_llama();
  const Pass pass = run(config, DType::kF32);
  EXPECT_NEAR(pass.loss / (2 * kBatch * kLength), std::log(128.0), 0.2);
}

}  // namespace
}  // namespace borealis
