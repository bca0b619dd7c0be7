#include "train/text_evaluation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <random>

#include "model/accounting.h"
#include "model/run_layout.h"
#include "support/expect_error.h"
#include "support/listed_documents.h"
#include "support/small_models.h"
#include "support/trainable_model.h"

namespace borealis {
namespace {

using testing::ListedDocuments;
using testing::small_llama;
using testing::TrainableModel;

std::vector<std::vector<int32_t>> random_documents(const std::vector<int>& lengths) {
  std::mt19937 random(5);
  std::vector<std::vector<int32_t>> documents;
  for (const int length : lengths) {
    documents.emplace_back();
    for (int i = 0; i < length; ++i) {
      documents.back().push_back(static_cast<int32_t>(random() % 128));
    }
  }
  return documents;
}

// The loss of predicting document[t] from at most T tokens as the windows of stride S see them,
// each from a pass over that context alone, through the logits.
double loss_by_logits(TrainableModel& model, const std::vector<int32_t>& document, int64_t T,
                      int64_t S) {
  const int64_t V = model.shape.model.vocab_size;
  std::vector<float> logits(static_cast<size_t>(T * V));
  double sum = 0;
  const auto length = static_cast<int64_t>(document.size());
  for (int64_t t = 1; t < length; ++t) {
    int64_t first = 0;  // of the first window that reaches t
    while (first + T < t) first += S;
    Batch batch{1, T, std::vector<int32_t>(static_cast<size_t>(T)), {}};
    std::copy(document.begin() + first, document.begin() + t, batch.tokens.begin());
    model.model->logits(batch, logits.data());
    const float* row = logits.data() + (t - first - 1) * V;
    double total = 0;
    for (int64_t v = 0; v < V; ++v) total += std::exp(static_cast<double>(row[v]));
    sum += std::log(total) - row[document[static_cast<size_t>(t)]];
  }
  return sum;
}

class TextEvaluationTest : public ::testing::Test {
 protected:
  TextEvaluationTest() : single_(small_llama(), DType::kF32, 1, 16) {
    initialize_parameters(single_.parameters, 3);
    shape_ = single_.shape;
    shape_.micro_batch_size = 3;
    shape_.forward_only = true;
    model_ = make_language_model(shape_, single_.parameters);
  }

  TextEvaluation evaluate(const TokenDocuments& documents, TextEvaluationOptions options) {
    return evaluate_texts(*model_, shape_, documents, options);
  }

  TrainableModel single_;
  DecoderShape shape_;
  std::unique_ptr<LanguageModel> model_;
};

TEST_F(TextEvaluationTest, IsTheLossOfEveryDocumentByItself) {
  const auto documents = random_documents({1, 5, 17, 60, 2, 33, 9, 9, 9, 40});
  for (const int64_t stride : {16, 15, 5, 1}) {
    double expected = 0;
    int64_t tokens = 0;
    for (const auto& document : documents) {
      expected += loss_by_logits(single_, document, 16, stride);
      tokens += static_cast<int64_t>(document.size()) - 1;
    }
    const TextEvaluation result =
        evaluate(ListedDocuments(documents), {.seq_length = 16, .stride = stride});
    EXPECT_EQ(result.tokens, tokens);
    EXPECT_EQ(result.documents, 9) << "the one of a single token has nothing to predict";
    EXPECT_NEAR(result.loss_sum, expected, 1e-5 * expected) << "stride " << stride;
  }
}

TEST_F(TextEvaluationTest, StopsWhereItIsToldTo) {
  const auto documents = random_documents({20, 20, 20});
  const TextEvaluationOptions options{.seq_length = 16, .stride = 16, .max_tokens = 25};
  const TextEvaluation result = evaluate(ListedDocuments(documents), options);
  EXPECT_EQ(result.tokens, 25);
  EXPECT_EQ(result.documents, 2);
  const std::vector<int32_t> part(documents[1].begin(), documents[1].begin() + 7);
  EXPECT_NEAR(result.loss_sum,
              loss_by_logits(single_, documents[0], 16, 16) + loss_by_logits(single_, part, 16, 16),
              1e-5 * result.loss_sum);
  EXPECT_EQ(tokens_to_predict(ListedDocuments(documents), options), 25);
}

TEST_F(TextEvaluationTest, ReportsProgressOfEveryBatch) {
  std::vector<int64_t> done;
  evaluate_texts(*model_, shape_, ListedDocuments(random_documents({100})),
                 {.seq_length = 16, .stride = 16}, [&](int64_t tokens, int64_t total) {
                   EXPECT_EQ(total, 99);
                   done.push_back(tokens);
                 });
  EXPECT_THAT(done, ::testing::ElementsAre(48, 96));
}

TEST_F(TextEvaluationTest, BitsPerByteAreOfTheTextThatIsPredicted) {
  const auto documents = random_documents({11, 21});
  const TextEvaluationOptions options{.seq_length = 16, .stride = 16};
  const TextEvaluation result = evaluate(ListedDocuments(documents, 4), options);
  EXPECT_EQ(result.bytes, 4 * 30);
  EXPECT_DOUBLE_EQ(*result.bits_per_byte(), result.loss_sum / std::numbers::ln2 / 120);
  EXPECT_DOUBLE_EQ(result.perplexity(), std::exp(result.loss_sum / 30));
  // A uniform guess over 128 tokens is 7 bits a token; an untrained model is near that.
  EXPECT_NEAR(*result.bits_per_byte(), 7.0 / 4, 0.1);
  EXPECT_EQ(evaluate(ListedDocuments(documents), options).bits_per_byte(), std::nullopt);
  EXPECT_EQ(evaluate(ListedDocuments(documents, 0), options).bits_per_byte(), std::nullopt);
}

TEST_F(TextEvaluationTest, RefusesWeightsThatAreNotFinite) {
  const int64_t at = single_.table.at("model.norm.weight").offset;
  single_.parameters.weights_as<float>()[at] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_ERROR(evaluate(ListedDocuments({{1, 2, 3}}), {.seq_length = 16, .stride = 16}),
               ErrorKind::kNumerics, "not finite, at document 0");
}

// The same bits with a third of the memory.
TEST(ForwardOnlyDecoder, HasTheLossOfTheWholeOne) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    TrainableModel whole(small_llama(), dtype, 2, 24);
    initialize_parameters(whole.parameters, 3);
    DecoderShape shape = whole.shape;
    shape.forward_only = true;
    const auto forward_only = make_language_model(shape, whole.parameters);
    std::vector<int32_t> tokens(2 * 25);
    std::mt19937 random(1);
    for (int32_t& token : tokens) token = static_cast<int32_t>(random() % 128);
    const Batch batch = testing::make_batch(tokens.data(), 2, 24);
    EXPECT_EQ(forward_only->forward(batch), whole.model->forward(batch));
  }
}

TEST(ForwardOnlyDecoder, KeepsTheActivationsOfOneLayer) {
  const auto forward_plan = [](int64_t layers, DType dtype) {
    const DecoderShape shape{.model = small_llama(layers),
                             .micro_batch_size = 2,
                             .seq_length = 24,
                             .recompute = {},
                             .mode = product_mode(dtype),
                             .threads = 2,
                             .forward_only = true};
    return plan_forward_memory(shape, dtype, 0, 0);
  };
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    RunConfig config;
    config.model = small_llama(3);
    config.dtype = dtype;
    config.batch = {
        .seq_length = 24, .micro_batch_size = 2, .grad_accum_steps = 1, .global_batch_size = 2};
    const MemoryPlan training = plan_memory(make_run_layout(config, 2), {}, 0, 0);
    const MemoryPlan forward = forward_plan(3, dtype);
    EXPECT_LT(2 * forward.activations_bytes, training.activations_bytes);
    EXPECT_LT(forward.working_bytes, training.working_bytes);
    const MemoryPlan deep = forward_plan(9, dtype);
    EXPECT_EQ(deep.activations_bytes, forward.activations_bytes);
    EXPECT_EQ(deep.working_bytes, forward.working_bytes);
    EXPECT_EQ(deep.scratch_bytes, forward.scratch_bytes);
  }
}

}  // namespace
}  // namespace borealis
