#include "planner/planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "support/small_models.h"

namespace borealis {
namespace {

using ::testing::HasSubstr;
using testing::report_llama3;
using testing::small_llama;

RunConfig run_config(const ModelConfig& model, int64_t seq_length) {
  RunConfig config;
  config.model = model;
  config.batch.seq_length = seq_length;
  return config;
}

Prediction prediction_of(const RunConfig& config) {
  return predict(config, make_run_layout(config, 2), 0, 0);
}

TEST(Planner, ASmallModelFits) {
  const RunConfig config = run_config(small_llama(), 32);
  const Prediction prediction = prediction_of(config);
  EXPECT_TRUE(prediction.fits);
  EXPECT_NO_THROW(require_fit(config, prediction, 2));
}

TEST(Planner, RefusesWithTableShortfallAndWaysOut) {
  // Small enough that no machine's free memory is the tighter limit.
  RunConfig config = run_config(small_llama(), 64);
  config.model.vocab_size = 256000;
  config.machine.memory_limit_bytes = int64_t{256} << 20;
  const Prediction prediction = prediction_of(config);
  EXPECT_FALSE(prediction.fits);
  try {
    require_fit(config, prediction, 2);
    FAIL() << "24.7 M parameters of 16 bytes each cannot fit in 256 MiB";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kMemory);
    const std::string message = error.what();
    EXPECT_THAT(message, HasSubstr("optimizer: two moments, lower half of fp32 weights"));
    EXPECT_THAT(message,
                HasSubstr("more than the 256.0 MiB that MEMORY_LIMIT (--memory-limit) allows"));
    EXPECT_THAT(message, HasSubstr("a tokenizer of 32000 entries"));
  }
}

TEST(Planner, EachWayOutReallyFits) {
  RunConfig config = run_config(small_llama(6), 512);
  config.batch.micro_batch_size = 8;
  const int64_t needed = prediction_of(config).memory.total_bytes();
  config.machine.memory_limit_bytes = needed * 9 / 10;
  const Prediction prediction = prediction_of(config);
  EXPECT_FALSE(prediction.fits);
  const auto ways = ways_to_fit(config, prediction, 2);
  ASSERT_FALSE(ways.empty());
  EXPECT_THAT(ways, ::testing::Contains(HasSubstr("MICRO_BATCH=1")));
  RunConfig single = config;
  single.batch.micro_batch_size = 1;
  EXPECT_TRUE(prediction_of(single).fits);
  EXPECT_THAT(ways, ::testing::Contains(HasSubstr("USE_ACTIVATION_CHECKPOINTING=1")));
  RunConfig recomputed = config;
  recomputed.recompute = {true, 1};
  EXPECT_TRUE(prediction_of(recomputed).fits);
}

// Where no single setting is enough, several together are named, and fit.
TEST(Planner, SeveralSettingsTogetherAreAWayOut) {
  RunConfig config = run_config(small_llama(6), 2048);
  config.model.vocab_size = 64'000;
  config.batch.micro_batch_size = 4;
  RunConfig least = config;
  least.batch = {1024, 1, 1, 1};
  least.recompute = {true, 1};
  least.model.tie_word_embeddings = true;
  config.machine.memory_limit_bytes = prediction_of(least).memory.total_bytes() * 21 / 20;
  const Prediction prediction = prediction_of(config);
  EXPECT_FALSE(prediction.fits);
  const auto ways = ways_to_fit(config, prediction, 2);
  EXPECT_THAT(ways, ::testing::Contains(HasSubstr("USE_ACTIVATION_CHECKPOINTING=1 MICRO_BATCH=1 "
                                                  "--seq-length 1024 --tie-word-embeddings")));
}

TEST(Planner, RanksMayShareMoreOfTheirState) {
  RunConfig config = run_config(small_llama(6), 64);
  config.parallel.world_size = 8;
  RunConfig shared = config;
  shared.parallel.zero_stage = 1;
  config.machine.memory_limit_bytes = prediction_of(shared).memory.total_bytes() * 21 / 20;
  const Prediction prediction = prediction_of(config);
  EXPECT_FALSE(prediction.fits);
  const auto ways = ways_to_fit(config, prediction, 2);
  EXPECT_THAT(ways, ::testing::Contains(HasSubstr("ZERO_STAGE=1")));
  EXPECT_THAT(ways, ::testing::Contains(HasSubstr("ZERO_STAGE=3")));
  config.parallel.world_size = 1;
  EXPECT_THAT(ways_to_fit(config, prediction_of(config), 2),
              ::testing::Not(::testing::Contains(HasSubstr("ZERO_STAGE"))));
}

TEST(Planner, RanksMayShareTheirSequences) {
  RunConfig config = run_config(small_llama(6), 8192);
  config.batch.micro_batch_size = 4;
  config.parallel.world_size = 6;
  RunConfig shared = config;
  shared.parallel.sequence_parallel_size = 2;  // of six ranks, two key/value heads
  shared.batch.grad_accum_steps = 2 * config.batch.grad_accum_steps;
  const int64_t with_all = prediction_of(config).memory.total_bytes();
  const int64_t with_halves = prediction_of(shared).memory.total_bytes();
  EXPECT_LT(with_halves, with_all * 2 / 3) << "most of it is activations";
  config.machine.memory_limit_bytes = with_halves * 21 / 20;
  const Prediction prediction = prediction_of(config);
  EXPECT_FALSE(prediction.fits);
  EXPECT_THAT(ways_to_fit(config, prediction, 2),
              ::testing::Contains(HasSubstr("SP=2 GRAD_ACC_STEPS=2 (")));
  config.parallel.world_size = 3;
  EXPECT_THAT(ways_to_fit(config, prediction_of(config), 2),
              ::testing::Not(::testing::Contains(HasSubstr("SP="))));
}

// One rank saves for all, from one copy, which takes its part of what they share.
TEST(Planner, OneCopyOfTheStateIsForAllRanksOfAHost) {
  RunConfig config = run_config(small_llama(), 64);
  config.machine.ranks_on_host = 4;
  const MemoryLimit shared{1000, "free memory"}, own{1000, kGivenLimit};
  EXPECT_EQ(snapshot_share_bytes(config, shared, 101), 26);
  EXPECT_EQ(snapshot_share_bytes(config, own, 101), 101);
  config.parallel.zero_stage = 1;
  EXPECT_EQ(snapshot_share_bytes(config, shared, 101), 101);
}

DecoderShape looking_shape(int64_t batch_size, int64_t seq_length) {
  DecoderShape shape{.model = small_llama(6), .recompute = {}};
  shape.micro_batch_size = batch_size;
  shape.seq_length = seq_length;
  shape.threads = 2;
  shape.forward_only = true;
  return shape;
}

TEST(Planner, AForwardPassHasNeitherGradientsNorOptimizer) {
  const DecoderShape shape = looking_shape(1, 64);
  const Prediction prediction = predict_forward(shape, DType::kF32, 100, 1000, std::nullopt);
  EXPECT_TRUE(prediction.fits);
  EXPECT_NO_THROW(require_forward_fit(shape, DType::kF32, prediction));
  std::vector<std::string> names;
  for (const MemoryClass& entry : prediction.memory.classes(DType::kF32)) {
    names.push_back(entry.name);
  }
  EXPECT_THAT(names, ::testing::ElementsAre(
                         "weights (fp32)", "activations of one layer", "working set of one layer",
                         "scratch of products, attention and logits", "position tables",
                         "tokens of the text and batch", "buffers inside libraries",
                         "program and shared libraries"));
  EXPECT_DOUBLE_EQ(3 * prediction.flops_per_token, flops_per_token(shape.model, 64));
}

TEST(Planner, AForwardPassThatDoesNotFitIsRefusedWithWaysOut) {
  const DecoderShape shape = looking_shape(16, 2048);
  const int64_t needed = plan_forward_memory(shape, DType::kF32, 0, 0).total_bytes();
  const Prediction prediction = predict_forward(shape, DType::kF32, 0, 0, needed / 2);
  EXPECT_FALSE(prediction.fits);
  try {
    require_forward_fit(shape, DType::kF32, prediction);
    FAIL() << "half of what is needed cannot be enough";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kMemory);
    EXPECT_THAT(error.what(), HasSubstr("activations of one layer"));
    EXPECT_THAT(error.what(), HasSubstr("--batch-size 1 ("));
    EXPECT_THAT(error.what(), HasSubstr("--batch-size 1 --seq-length 512 ("));
  }
}

GenerationShape generating_shape(int64_t sequences, int64_t capacity) {
  return {small_llama(6), sequences, capacity, /*prompt_rows=*/32, ProductMode::kF32, 2};
}

TEST(Planner, GenerationCountsItsCache) {
  const GenerationShape shape = generating_shape(3, 100);
  const Prediction prediction = predict_generation(shape, DType::kF32, 100, 1000, std::nullopt);
  EXPECT_TRUE(prediction.fits);
  std::vector<std::string> names;
  for (const MemoryClass& entry : prediction.memory.classes(DType::kF32)) {
    names.push_back(entry.name);
  }
  EXPECT_THAT(
      names, ::testing::ElementsAre("weights (fp32)", "activations of one layer", "key/value cache",
                                    "working set of one layer, logits",
                                    "scratch of products, attention and logits", "position tables",
                                    "prompts and texts", "buffers inside libraries",
                                    "program and shared libraries"));
  // two of 3 sequences x 100 positions x 2 heads x 12 a layer, of 4 bytes: whole cache lines
  EXPECT_EQ(prediction.memory.cache_bytes, 6 * 2 * (3 * 100 * 2 * 12 * 4));
  GenerationShape narrow = shape;
  narrow.mode = product_mode(DType::kBF16);
  EXPECT_EQ(plan_generation_memory(narrow, DType::kBF16, 0, 0).cache_bytes,
            prediction.memory.cache_bytes / 2);
}

TEST(Planner, GenerationThatDoesNotFitIsRefusedWithWaysOut) {
  const int64_t prompt = 20;
  const GenerationShape shape = generating_shape(64, prompt + 4000);
  const auto bytes = [](const GenerationShape& of) {
    return plan_generation_memory(of, DType::kF32, 0, 0).total_bytes();
  };
  const Prediction prediction = predict_generation(shape, DType::kF32, 0, 0, bytes(shape) * 3 / 10);
  EXPECT_FALSE(prediction.fits);
  try {
    require_generation_fit(shape, DType::kF32, prompt, prediction);
    FAIL() << "a third of what is needed cannot be enough";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kMemory);
    EXPECT_THAT(error.what(), HasSubstr("key/value cache"));
    const std::string text = error.what();
    const auto number_behind = [&](const std::string& option) {
      const size_t at = text.find(option);
      EXPECT_NE(at, std::string::npos) << text;
      return at == std::string::npos ? 1 : std::stol(text.substr(at + option.size()));
    };
    // Each way fits, and is the largest that does.
    const auto fits = [&](int64_t sequences, int64_t new_tokens) {
      return predict_generation(generating_shape(sequences, prompt + new_tokens), DType::kF32, 0, 0,
                                bytes(shape) * 3 / 10)
          .fits;
    };
    const int64_t batch = number_behind("--batch-size "),
                  tokens = number_behind("--max-new-tokens ");
    EXPECT_TRUE(fits(batch, 4000) && !fits(batch + 1, 4000)) << text;
    EXPECT_TRUE(fits(64, tokens) && !fits(64, tokens + 1)) << text;
    EXPECT_THAT(text, HasSubstr("total"));
  }
}

TEST(Planner, JsonHasTheNamesThatScriptsRelyOn) {
  const RunConfig config = run_config(report_llama3(14), 8192);
  const auto document = nlohmann::json::parse(prediction_json(config, prediction_of(config)));
  EXPECT_EQ(document["parameters"], 2982239232);
  EXPECT_EQ(document["flops_per_token"], 17.402167296e9);
  EXPECT_EQ(document["architecture"]["hidden_size"], 3072);
  int64_t sum = 0;
  for (const auto& entry : document["memory"]["classes"]) sum += entry["bytes"].get<int64_t>();
  EXPECT_EQ(document["memory"]["total_bytes"], sum);
  EXPECT_TRUE(document["memory"].contains("limit_bytes"));
  EXPECT_TRUE(document["fits"].is_boolean());
}

}  // namespace
}  // namespace borealis
