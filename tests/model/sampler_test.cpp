#include "model/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <vector>

#include "base/file.h"
#include "base/random.h"
#include "support/expect_error.h"
#include "support/paths.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;

SamplingOptions all_of_it() {
  SamplingOptions options;
  options.temperature = 1;
  options.top_k = 0;
  return options;
}

// What sample_token draws from, by token, after a text of these.
std::vector<double> distribution(const std::vector<float>& logits, const std::vector<int32_t>& text,
                                 const SamplingOptions& options) {
  std::vector<int32_t> different(text.size());
  std::vector<uint64_t> bits(static_cast<size_t>(SeenTokens::words(std::ssize(logits))));
  SeenTokens seen(different.data(), bits);
  for (const int32_t token : text) seen.add(token);
  std::vector<Candidate> memory(logits.size());
  const auto left = filter_candidates(logits, seen.tokens(), options, memory);
  std::vector<double> probabilities(logits.size());
  double total = 0;
  for (const Candidate& candidate : left) {
    double& p = probabilities[static_cast<size_t>(candidate.token)];
    p = std::exp(candidate.logit / options.temperature);
    total += p;
  }
  for (double& p : probabilities) p /= total;
  return probabilities;
}

std::vector<int32_t> tokens_left(const std::vector<float>& logits, const SamplingOptions& options) {
  const std::vector<double> probabilities = distribution(logits, {}, options);
  std::vector<int32_t> tokens;
  for (size_t i = 0; i < probabilities.size(); ++i) {
    if (probabilities[i] > 0) tokens.push_back(static_cast<int32_t>(i));
  }
  return tokens;
}

int32_t draw(const std::vector<float>& logits, const SamplingOptions& options, double uniform,
             const std::vector<int32_t>& seen = {}) {
  std::vector<Candidate> memory(logits.size());
  return sample_token(logits, seen, options, uniform, memory);
}

// Logits whose softmax is this.
std::vector<float> logits_of(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

const std::vector<float> kLogits = logits_of({0.1, 0.4, 0.05, 0.25, 0.2});

TEST(Sampler, TopKKeepsTheLikeliestAndTheEqualsOfTheLast) {
  SamplingOptions options = all_of_it();
  options.top_k = 2;
  EXPECT_THAT(tokens_left(kLogits, options), ElementsAre(1, 3));
  EXPECT_THAT(tokens_left({1, 3, 2, 2, 2, 0}, options), ElementsAre(1, 2, 3, 4));
  options.top_k = 100;
  EXPECT_THAT(tokens_left(kLogits, options), ElementsAre(0, 1, 2, 3, 4));
}

TEST(Sampler, TopPEndsWithTheTokenThatReachesIt) {
  SamplingOptions options = all_of_it();
  for (const auto& [top_p, left] :
       std::vector<std::pair<double, std::vector<int32_t>>>{{0.0, {1}},
                                                            {0.39, {1}},
                                                            {0.41, {1, 3}},
                                                            {0.64, {1, 3}},
                                                            {0.66, {1, 3, 4}},
                                                            {0.94, {0, 1, 3, 4}},
                                                            {0.96, {0, 1, 2, 3, 4}},
                                                            {1.0, {0, 1, 2, 3, 4}}}) {
    options.top_p = top_p;
    EXPECT_EQ(tokens_left(kLogits, options), left) << top_p;
  }
}

TEST(Sampler, MinPIsAShareOfTheLikeliest) {
  SamplingOptions options = all_of_it();
  options.min_p = 0.45;  // of 0.4
  EXPECT_THAT(tokens_left(kLogits, options), ElementsAre(1, 3, 4));
  options.min_p = 1;
  EXPECT_THAT(tokens_left(kLogits, options), ElementsAre(1));
}

TEST(Sampler, FiltersFollowOneAnother) {
  SamplingOptions options = all_of_it();
  options.top_k = 3;     // 0.4, 0.25, 0.2 of 0.85
  options.top_p = 0.75;  // of what top-k left: 0.4 + 0.25 are 0.76 of it
  EXPECT_THAT(tokens_left(kLogits, options), ElementsAre(1, 3));
  options.temperature = 1e3;  // nearly uniform before top-p
  EXPECT_THAT(tokens_left(kLogits, options), ElementsAre(1, 3, 4));
}

TEST(Sampler, ThePenaltyDividesWhatIsPositiveAndMultipliesWhatIsNegative) {
  SamplingOptions options = all_of_it();
  options.repetition_penalty = 2;
  std::vector<Candidate> memory(3);
  const auto left =
      filter_candidates(std::vector<float>{4, -4, 1}, std::vector<int32_t>{0, 1}, options, memory);
  EXPECT_EQ(left[0].logit, 2);
  EXPECT_EQ(left[1].logit, -8);
  EXPECT_EQ(left[2].logit, 1);
}

TEST(Sampler, GreedyTakesTheFirstOfTheLikeliestAfterThePenalty) {
  SamplingOptions greedy = all_of_it();
  greedy.temperature = 0;
  for (const double uniform : {1e-9, 0.5, 1 - 1e-9}) {
    EXPECT_EQ(draw({0, 3, 7, 7, 1}, greedy, uniform), 2);
  }
  greedy.repetition_penalty = 1.5;
  EXPECT_EQ(draw({0, 3, 7, 7, 1}, greedy, 0.5, {2}), 3);
}

TEST(Sampler, DrawsByProbability) {
  SamplingOptions options = all_of_it();
  for (const bool sorted : {false, true}) {
    if (sorted) options.top_p = 1 - 1e-12;
    std::vector<int> count(5);
    constexpr int kDraws = 20000;
    const RandomStream random(5, 1);
    for (uint64_t i = 0; i < kDraws; ++i) {
      ++count[static_cast<size_t>(draw(kLogits, options, random.uniform(i)))];
    }
    const double expected[] = {0.1, 0.4, 0.05, 0.25, 0.2};
    for (size_t i = 0; i < 5; ++i) {  // within five standard deviations
      const double p = expected[i], deviation = std::sqrt(p * (1 - p) / kDraws);
      EXPECT_NEAR(count[i] / static_cast<double>(kDraws), p, 5 * deviation) << i;
    }
  }
}

TEST(Sampler, ExtremeTemperaturesAreSafe) {
  SamplingOptions options = all_of_it();
  for (const double top_p : {1.0, 0.9}) {
    options.top_p = top_p;
    options.temperature = 1e-300;
    EXPECT_EQ(draw(kLogits, options, 0.999), 1);
    options.temperature = 1e300;
    EXPECT_LT(draw(kLogits, options, 0.999), 5);
    options.temperature = 1;
    EXPECT_EQ(draw({-3e38f, 3e38f, 0}, options, 0.999), 1);
  }
}

// What Hugging Face's generate() draws from for the same settings (make_goldens.py).
TEST(Sampler, DistributionsAreHuggingFaces) {
  const auto cases =
      nlohmann::json::parse(read_text_file(BOREALIS_GOLDEN_DIR "/model/sampling.json"));
  ASSERT_GE(cases.size(), 10u);
  for (const auto& golden : cases) {
    SamplingOptions options = all_of_it();
    const auto& settings = golden["settings"];
    options.temperature = settings.value("temperature", 1.0);
    options.top_k = settings.value("top_k", int64_t{0});
    options.top_p = settings.value("top_p", 1.0);
    options.min_p = settings.value("min_p", 0.0);
    options.repetition_penalty = settings.value("repetition_penalty", 1.0);
    const auto expected = golden["probabilities"].get<std::vector<double>>();
    const auto actual = distribution(golden["logits"].get<std::vector<float>>(),
                                     golden["seen"].get<std::vector<int32_t>>(), options);
    for (size_t i = 0; i < expected.size(); ++i) {
      // scores are f32 there, divided by temperature and penalty
      EXPECT_NEAR(actual[i], expected[i], 2e-6 * expected[i]) << settings << ", token " << i;
    }
  }
}

TEST(Sampler, SeenTokensAreDifferentOnes) {
  std::vector<int32_t> tokens(5);
  std::vector<uint64_t> bits(static_cast<size_t>(SeenTokens::words(130)), ~uint64_t{0});
  EXPECT_EQ(bits.size(), 3u);
  SeenTokens seen(tokens.data(), bits);
  for (const int32_t token : {129, 0, 63, 129, 64, 0}) seen.add(token);
  EXPECT_THAT(std::vector<int32_t>(seen.tokens().begin(), seen.tokens().end()),
              ElementsAre(129, 0, 63, 64));
}

TEST(Sampler, OptionsOutOfRangeAreNamed) {
  const auto expect = [](auto change, const char* name) {
    SamplingOptions options;
    check_sampling_options(options);
    change(options);
    EXPECT_ERROR(check_sampling_options(options), ErrorKind::kUsage, name);
  };
  const double nan = std::nan("");
  expect([&](SamplingOptions& o) { o.temperature = -1; }, "--temperature -1");
  expect([&](SamplingOptions& o) { o.temperature = nan; }, "--temperature nan");
  expect([&](SamplingOptions& o) { o.temperature = INFINITY; }, "--temperature inf");
  expect([&](SamplingOptions& o) { o.top_k = -3; }, "--top-k -3");
  expect([&](SamplingOptions& o) { o.top_p = 1.5; }, "--top-p 1.5");
  expect([&](SamplingOptions& o) { o.min_p = -0.1; }, "--min-p -0.1");
  expect([&](SamplingOptions& o) { o.repetition_penalty = 0; }, "--repetition-penalty 0");
}

}  // namespace
}  // namespace borealis
