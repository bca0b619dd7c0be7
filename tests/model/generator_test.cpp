#include "model/generator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "base/random.h"
#include "support/expect_error.h"
#include "support/small_models.h"
#include "support/trainable_model.h"

namespace borealis {
namespace {

using testing::small_llama;
using testing::TrainableModel;

ModelConfig model_config() {
  ModelConfig config = small_llama(2);
  config.max_position_embeddings = 96;
  config.init_method_std = 0.3;  // logits far apart
  return config;
}

Prompt random_prompt(int64_t tokens, uint64_t stream) {
  const RandomStream random(31, stream);
  Prompt prompt;
  for (int64_t i = 0; i < tokens; ++i) {
    prompt.push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(i), 128)));
  }
  return prompt;
}

struct Result {
  Prompt tokens;
  FinishReason reason = FinishReason::kLength;
};

class GeneratorTest : public ::testing::Test {
 protected:
  GeneratorTest() : model_(model_config(), DType::kF32, 1, 1) {
    initialize_parameters(model_.parameters, 3);
    for (uint64_t i = 0; i < 9; ++i) {
      prompts_.push_back(random_prompt(1 + static_cast<int64_t>(i * i % 40), i));
    }
  }

  std::vector<Result> generate(const std::vector<Prompt>& prompts, int64_t batch_size,
                               const GenerationOptions& options, int64_t stop_at = -1) {
    Generator generator(generation_shape(model_config(), prompts, options.max_new_tokens,
                                         batch_size, DType::kF32, 2),
                        model_.parameters);
    std::vector<Result> results(prompts.size());
    std::vector<int> finished(prompts.size());
    GenerationEvents events;
    events.on_token = [&](size_t prompt, int32_t token) {
      EXPECT_EQ(finished[prompt], 0);
      results[prompt].tokens.push_back(token);
      return static_cast<int64_t>(results[prompt].tokens.size()) != stop_at;
    };
    events.on_finish = [&](size_t prompt, const FinishedText& text) {
      ++finished[prompt];
      results[prompt].reason = text.reason;
      EXPECT_GT(text.prompt_tokens_per_second, 0);
    };
    totals_ = generator.generate(prompts, options, events);
    EXPECT_THAT(finished, ::testing::Each(1));
    return results;
  }

  TrainableModel model_;
  std::vector<Prompt> prompts_;
  GenerationTotals totals_;
};

GenerationOptions options_of(double temperature, int64_t max_new_tokens = 25) {
  GenerationOptions options;
  options.max_new_tokens = max_new_tokens;
  options.sampling.temperature = temperature;
  options.sampling.top_k = 0;
  return options;
}

TEST_F(GeneratorTest, ABatchGivesEveryPromptTheTokensItGetsAlone) {
  for (const double temperature : {0.0, 1.0}) {
    GenerationOptions options = options_of(temperature);
    options.sampling.repetition_penalty = 1.2;
    const std::vector<Result> alone = generate(prompts_, 1, options);
    for (const int64_t batch_size : {2, 4, 9, 50}) {
      const std::vector<Result> together = generate(prompts_, batch_size, options);
      for (size_t i = 0; i < prompts_.size(); ++i) {
        EXPECT_EQ(together[i].tokens, alone[i].tokens) << "prompt " << i << " of " << batch_size;
        EXPECT_EQ(alone[i].tokens.size(), 25u);
      }
    }
  }
}

// The likeliest token of a whole pass over what is there so far, again and again.
TEST_F(GeneratorTest, GreedyIsTheArgmaxOfWholePasses) {
  const std::vector<Prompt> prompts = {random_prompt(11, 70)};
  Prompt text = prompts[0];
  for (int i = 0; i < 25; ++i) {
    const auto T = static_cast<int64_t>(text.size());
    TrainableModel whole(model_config(), DType::kF32, 1, T);
    initialize_parameters(whole.parameters, 3);
    std::vector<float> logits(static_cast<size_t>(T * 128));
    whole.model->logits({1, T, text, {}}, logits.data());
    text.push_back(
        static_cast<int32_t>(std::max_element(logits.end() - 128, logits.end()) - logits.end()) +
        128);
  }
  EXPECT_EQ(generate(prompts, 1, options_of(0))[0].tokens, Prompt(text.begin() + 11, text.end()));
}

TEST_F(GeneratorTest, SeedsAndPlacesGiveDifferentTextsAndTheSameSeedTheSame) {
  const std::vector<Prompt> twice = {prompts_[3], prompts_[3]};
  GenerationOptions options = options_of(1);
  const std::vector<Result> first = generate(twice, 2, options);
  EXPECT_NE(first[0].tokens, first[1].tokens);
  EXPECT_EQ(generate(twice, 2, options)[0].tokens, first[0].tokens);
  options.sampling.seed = 8;
  EXPECT_NE(generate(twice, 2, options)[0].tokens, first[0].tokens);
}

TEST_F(GeneratorTest, AStopTokenEndsATextAndIsNoPartOfIt) {
  GenerationOptions options = options_of(0);
  const Prompt whole = generate({prompts_[5]}, 1, options)[0].tokens;
  options.stop_tokens = {whole[6]};
  const Result stopped = generate({prompts_[5]}, 1, options)[0];
  const auto first = std::find(whole.begin(), whole.end(), whole[6]);
  EXPECT_EQ(stopped.tokens, Prompt(whole.begin(), first));
  EXPECT_EQ(stopped.reason, FinishReason::kEos);
  options.stop_tokens = {whole[0]};
  EXPECT_TRUE(generate({prompts_[5]}, 1, options)[0].tokens.empty());
}

TEST_F(GeneratorTest, TheCallerEndsATextAndTheNextPromptTakesItsPlace) {
  const std::vector<Result> results = generate(prompts_, 2, options_of(1), /*stop_at=*/4);
  for (const Result& result : results) {
    EXPECT_EQ(result.tokens.size(), 4u);
    EXPECT_EQ(result.reason, FinishReason::kStop);
  }
}

TEST_F(GeneratorTest, LengthsEndWithThePositionsOfTheModel) {
  const std::vector<Prompt> prompts = {random_prompt(90, 1), random_prompt(95, 2),
                                       random_prompt(20, 3)};
  const std::vector<Result> results = generate(prompts, 3, options_of(1, 50));
  EXPECT_EQ(results[0].tokens.size(), 6u);
  EXPECT_EQ(results[1].tokens.size(), 1u);
  EXPECT_EQ(results[2].tokens.size(), 50u);
  for (const Result& result : results) EXPECT_EQ(result.reason, FinishReason::kLength);
}

TEST_F(GeneratorTest, TotalsCountWhatWasComputed) {
  generate({prompts_[2], prompts_[3]}, 2, options_of(1, 10));
  EXPECT_EQ(totals_.prompt_tokens, static_cast<int64_t>(prompts_[2].size() + prompts_[3].size()));
  EXPECT_EQ(totals_.decoded_tokens, 2 * 9);  // the first of each comes out of its prompt's pass
  EXPECT_GT(totals_.decoded_tokens_per_second(), 0);
}

// Long prompts, which pass through the layers in pieces, among short ones.
TEST_F(GeneratorTest, LongPromptsInABatchGetTheTokensTheyGetAlone) {
  ModelConfig config = model_config();
  config.max_position_embeddings = 2000;
  const std::vector<Prompt> prompts = {random_prompt(5, 1), random_prompt(1700, 2),
                                       random_prompt(9, 3), random_prompt(577, 4),
                                       random_prompt(576, 5)};
  const auto tokens_of = [&](std::span<const Prompt> some, int64_t batch_size) {
    std::vector<Prompt> tokens(some.size());
    Generator generator(generation_shape(config, some, 8, batch_size, DType::kF32, 2),
                        model_.parameters);
    generator.generate(some, options_of(0, 8),
                       {.on_token =
                            [&](size_t prompt, int32_t token) {
                              tokens[prompt].push_back(token);
                              return true;
                            },
                        .on_finish = [](size_t, const FinishedText&) {}});
    return tokens;
  };
  const std::vector<Prompt> together = tokens_of(prompts, 3);
  for (size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(together[i], tokens_of({&prompts[i], 1}, 1)[0]) << i;
  }
}

TEST_F(GeneratorTest, LogitsThatAreNotFiniteAreAnError) {
  model_.parameters.weights_as<float>()[model_.table.at("model.norm.weight").offset] =
      std::numeric_limits<float>::quiet_NaN();
  EXPECT_ERROR(generate({prompts_[1]}, 1, options_of(1)), ErrorKind::kNumerics, "the model",
               "not finite", "position 2 of prompt 1, of which 2 tokens");
}

}  // namespace
}  // namespace borealis
