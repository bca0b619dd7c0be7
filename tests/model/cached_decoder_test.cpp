#include "model/cached_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "support/small_models.h"
#include "support/trainable_model.h"

namespace borealis {
namespace {

using testing::small_llama;
using testing::TrainableModel;

using Tokens = std::vector<int32_t>;

Tokens random_tokens(int64_t count, uint64_t stream) {
  const RandomStream random(23, stream);
  Tokens tokens;
  for (int64_t i = 0; i < count; ++i) {
    tokens.push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(i), 128)));
  }
  return tokens;
}

// head_dim unlike hidden / heads, a layer without RoPE.
ModelConfig odd_model() {
  ModelConfig config = small_llama(4);
  config.head_dim = 14;
  config.rope_on_layer[2] = false;
  config.max_position_embeddings = 256;
  return config;
}

// A tied head, RoPE with stretched wavelengths.
ModelConfig stretched_model() {
  ModelConfig config = small_llama(2);
  config.tie_word_embeddings = true;
  config.max_position_embeddings = 256;
  config.rope_scaling = RopeScaling{4.0, 1.0, 4.0, 64};
  return config;
}

// logits [T, V] of a whole text at once, as training and evaluation see them.
std::vector<float> whole_pass(const ModelConfig& config, DType dtype, const Tokens& tokens) {
  const auto T = static_cast<int64_t>(tokens.size());
  TrainableModel model(config, dtype, 1, T);
  initialize_parameters(model.parameters, 3);
  std::vector<float> logits(static_cast<size_t>(T * config.vocab_size));
  model.model->logits({1, T, tokens, {}}, logits.data());
  return logits;
}

// A decoder against a cache, of texts of at most `capacity` tokens.
struct Cached {
  TrainableModel model;
  GenerationShape shape;
  GenerationArenas arenas;
  std::unique_ptr<CachedDecoder> decoder;
  std::vector<float> logits;

  Cached(const ModelConfig& config, DType dtype, int64_t sequences, int64_t prompt_rows,
         int64_t capacity = 120)
      : model(config, dtype, 1, 1),
        shape{.model = config,
              .sequences = sequences,
              .capacity = capacity,
              .prompt_rows = prompt_rows,
              .mode = product_mode(dtype),
              .threads = 2,
              .longest_prompt = capacity},
        arenas(allocate_generation(shape, {})),
        decoder(make_cached_decoder(shape, model.parameters, arenas)),
        logits(static_cast<size_t>(sequences * config.vocab_size)) {
    initialize_parameters(model.parameters, 3);
  }
  std::vector<float> row(size_t i) const {
    const auto V = shape.model.vocab_size;
    const auto begin = logits.begin() + static_cast<int64_t>(i) * V;
    return {begin, begin + V};
  }
};

double relative_distance(const std::vector<float>& a, const float* b) {
  double difference = 0, length = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - b[i], 2);
    length += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(difference / length);
}

// Texts of different lengths, prompts packed into a pass and then a token of each at a time: the
// logits are those of whole passes. fp32 sums in another order. In bf16 activations are rounded to
// 8 bits wherever a product of other rows or another attention sums differently: 2^-9 a rounding,
// some ten of them a layer, as a random walk.
void expect_logits_of_whole_passes(const ModelConfig& config, DType dtype, double bound) {
  const std::vector<Tokens> texts = {random_tokens(90, 1), random_tokens(40, 2),
                                     random_tokens(101, 3)};
  const std::vector<size_t> prompts = {37, 1, 70};
  const std::vector<int32_t> sequences = {2, 0, 1};
  Cached cached(config, dtype, 3, 110);
  std::vector<std::vector<float>> expected;
  std::vector<SequenceTokens> rows;
  for (size_t i = 0; i < texts.size(); ++i) {
    expected.push_back(whole_pass(config, dtype, texts[i]));
    rows.push_back({sequences[i], std::span(texts[i]).first(prompts[i])});
  }
  cached.decoder->prefill(rows, cached.logits.data());
  const auto expect_row = [&](size_t row, size_t text, size_t tokens) {
    const float* whole =
        expected[text].data() + static_cast<int64_t>(tokens - 1) * config.vocab_size;
    EXPECT_LT(relative_distance(cached.row(row), whole), bound) << text << " at " << tokens;
  };
  for (size_t i = 0; i < texts.size(); ++i) expect_row(i, i, prompts[i]);
  for (size_t step = 0;; ++step) {
    std::vector<size_t> alive;
    rows.clear();
    for (size_t i = 0; i < texts.size(); ++i) {
      if (prompts[i] + step >= texts[i].size()) continue;
      alive.push_back(i);
      rows.push_back({sequences[i], {&texts[i][prompts[i] + step], 1}});
    }
    if (rows.empty()) break;
    cached.decoder->decode(rows, cached.logits.data());
    for (size_t row = 0; row < alive.size(); ++row) {
      expect_row(row, alive[row], prompts[alive[row]] + step + 1);
    }
  }
}

TEST(CachedDecoder, Fp32LogitsAreThoseOfAWholePass) {
  expect_logits_of_whole_passes(odd_model(), DType::kF32, 3e-6);
  expect_logits_of_whole_passes(stretched_model(), DType::kF32, 3e-6);
}

TEST(CachedDecoder, Bf16LogitsAreThoseOfAWholePassButForRounding) {
  expect_logits_of_whole_passes(odd_model(), DType::kBF16, 0.02);
  expect_logits_of_whole_passes(stretched_model(), DType::kBF16, 0.02);
}

// A prompt of several passes, the last of them of a few tokens, and what follows it.
void expect_logits_after_pieces(DType dtype, double bound) {
  ModelConfig config = odd_model();
  config.max_position_embeddings = 600;
  const Tokens text = random_tokens(583, 6);
  const std::vector<float> expected = whole_pass(config, dtype, text);
  Cached cached(config, dtype, 2, /*prompt_rows=*/200, /*capacity=*/600);
  const auto expect_row = [&](int64_t tokens) {
    EXPECT_LT(relative_distance(cached.row(0), expected.data() + (tokens - 1) * config.vocab_size),
              bound)
        << tokens;
  };
  for (const int64_t prompt : {577, 201, 384, 580}) {
    const std::vector<SequenceTokens> rows = {
        {1, std::span(text).first(static_cast<size_t>(prompt))}};
    cached.decoder->prefill(rows, cached.logits.data());
    expect_row(prompt);
  }
  for (size_t at = 580; at < text.size(); ++at) {
    const std::vector<SequenceTokens> next = {{1, {&text[at], 1}}};
    cached.decoder->decode(next, cached.logits.data());
    expect_row(static_cast<int64_t>(at) + 1);
  }
}

TEST(CachedDecoder, ALongPromptInPiecesGivesTheLogitsOfAWholePass) {
  expect_logits_after_pieces(DType::kF32, 3e-6);
  expect_logits_after_pieces(DType::kBF16, 0.02);
}

TEST(CachedDecoder, MemoryOfALongPromptGrowsByItsCacheAndItsKeysAlone) {
  GenerationShape shape{.model = odd_model(), .capacity = 20000, .prompt_rows = 576, .threads = 2};
  const auto activations = [&](int64_t longest) {
    shape.longest_prompt = longest;
    const GenerationArenas arenas = measure_generation(shape);
    return arenas.decoder.activations.used_bytes() + arenas.decoder.working.used_bytes();
  };
  EXPECT_EQ(activations(19000), activations(500));
}

// A sequence that was used before gives what a fresh one gives.
TEST(CachedDecoder, APromptTakesThePlaceOfAnEarlierText) {
  const ModelConfig config = odd_model();
  const Tokens first = random_tokens(80, 4), second = random_tokens(13, 5), next = {7};
  const auto logits_of_second = [&](bool after_first) {
    Cached cached(config, DType::kF32, 1, 80);
    const std::vector<SequenceTokens> prompt = {{0, first}}, other = {{0, second}},
                                      token = {{0, next}};
    if (after_first) cached.decoder->prefill(prompt, cached.logits.data());
    cached.decoder->prefill(other, cached.logits.data());
    cached.decoder->decode(token, cached.logits.data());
    return cached.logits;
  };
  EXPECT_EQ(logits_of_second(true), logits_of_second(false));
}

TEST(CachedDecoder, MemoryIsTheCallersWhereItIsLargeEnough) {
  GenerationShape shape{small_llama(), 2, 50, 32, ProductMode::kF32, 2};
  const auto bytes = static_cast<size_t>(measure_generation(shape).used_bytes());
  const PageBuffer memory(bytes + 64, "test");
  const std::span<std::byte> all(memory.data(), memory.size_bytes());
  const auto lies_in_memory = [&](const Arena& arena) {
    return arena.memory().data() >= all.data() &&
           arena.memory().data() + arena.memory().size() <= all.data() + all.size();
  };
  const GenerationArenas inside = allocate_generation(shape, all);
  for (const Arena* arena : {&inside.decoder.activations, &inside.decoder.working,
                             &inside.decoder.scratch, &inside.cache}) {
    EXPECT_TRUE(lies_in_memory(*arena));
  }
  const GenerationArenas outside = allocate_generation(shape, all.first(bytes - 64));
  EXPECT_FALSE(lies_in_memory(outside.cache));
}

TEST(CachedDecoder, PassesHaveFewSizes) {
  GenerationShape shape{small_llama(), 30, 8000, 8000, ProductMode::kF32, 2};
  EXPECT_THAT(shape.decode_pass_rows(),
              ::testing::ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 30));
  const std::vector<int64_t> sizes = shape.prompt_pass_rows();
  EXPECT_LT(sizes.size(), 40u);
  EXPECT_EQ(sizes.back(), 8000);
  for (size_t i = 1; i < sizes.size(); ++i) {
    EXPECT_LE(sizes[i], std::max(sizes[i - 1] + 16, sizes[i - 1] * 5 / 4));
  }
  shape.prompt_rows = 5;
  EXPECT_THAT(shape.prompt_pass_rows(), ::testing::ElementsAre(5));
}

}  // namespace
}  // namespace borealis
