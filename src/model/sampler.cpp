#include "model/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace borealis {
namespace {

bool more_likely(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

std::span<Candidate> penalized(std::span<const float> logits, std::span<const int32_t> seen,
                               double penalty, std::span<Candidate> candidates) {
  for (size_t i = 0; i < logits.size(); ++i) candidates[i] = {logits[i], static_cast<int32_t>(i)};
  const auto p = static_cast<float>(penalty);
  if (p == 1.0f) return candidates;
  for (const int32_t token : seen) {
    float& logit = candidates[static_cast<size_t>(token)].logit;
    logit = logit < 0 ? logit * p : logit / p;
  }
  return candidates;
}

std::span<Candidate> cut_top_k(std::span<Candidate> all, int64_t top_k) {
  if (top_k == 0 || static_cast<size_t>(top_k) >= all.size()) return all;
  const auto kth = all.begin() + top_k - 1;
  std::nth_element(all.begin(), kth, all.end(), more_likely);
  const float least = kth->logit;
  const auto end =
      std::partition(kth + 1, all.end(), [&](const Candidate& c) { return c.logit >= least; });
  return all.first(static_cast<size_t>(end - all.begin()));
}

// Of the likeliest token a weight of 1. In double, and divided by the temperature only here, no
// temperature overflows.
class Weights {
 public:
  Weights(std::span<const Candidate> of, double temperature)
      : largest_(std::max_element(of.begin(), of.end(), LessLogit())->logit),
        temperature_(temperature) {}
  double operator()(const Candidate& candidate) const {
    return std::exp((static_cast<double>(candidate.logit) - largest_) / temperature_);
  }
  double total(std::span<const Candidate> of) const {
    double sum = 0;
    for (const Candidate& candidate : of) sum += (*this)(candidate);
    return sum;
  }

 private:
  struct LessLogit {
    bool operator()(const Candidate& a, const Candidate& b) const { return a.logit < b.logit; }
  };
  double largest_, temperature_;
};

// Both cuts keep a run of the likeliest, so the shorter one is the result of one after the other.
std::span<Candidate> cut_top_p_and_min_p(std::span<Candidate> all, const SamplingOptions& options) {
  const auto [top_p, min_p] = std::pair(options.top_p, options.min_p);
  if (top_p >= 1 && min_p <= 0) return all;
  const Weights weight(all, options.temperature);
  const double total = weight.total(all);
  // No token below this weight can be in the nucleus: with all that are less likely it has under
  // 1 - top_p. Few are left to be sorted.
  const double outside = (1 - top_p) * total / static_cast<double>(all.size()) * (1 - 1e-9);
  const double least = std::min(std::max(min_p, outside), 1.0);
  const auto end = std::partition(all.begin(), all.end(),
                                  [&](const Candidate& c) { return weight(c) >= least; });
  all = all.first(static_cast<size_t>(end - all.begin()));
  std::sort(all.begin(), all.end(), more_likely);
  double within = 0;
  for (size_t i = 0; i < all.size(); ++i) {  // the nucleus ends with the token that reaches top_p
    within += weight(all[i]);
    if (within >= top_p * total) return all.first(i + 1);
  }
  return all;
}

void check(bool holds, const char* option, double value, const char* range) {
  if (holds) return;
  throw Error(ErrorKind::kUsage, fmt::format("{} {} is out of range", option, value),
              fmt::format("give {}", range));
}

}  // namespace

void check_sampling_options(const SamplingOptions& options) {
  const auto share = [](double value) { return value >= 0 && value <= 1; };  // not NaN either
  check(options.temperature >= 0 && std::isfinite(options.temperature), "--temperature",
        options.temperature, "0, for the likeliest token, or more");
  check(options.top_k >= 0, "--top-k", static_cast<double>(options.top_k),
        "0, for no limit, or a number of tokens");
  check(share(options.top_p), "--top-p", options.top_p, "a probability from 0 to 1");
  check(share(options.min_p), "--min-p", options.min_p, "a share from 0 to 1");
  check(options.repetition_penalty > 0 && std::isfinite(options.repetition_penalty),
        "--repetition-penalty", options.repetition_penalty, "a number above 0; 1 is no penalty");
}

SeenTokens::SeenTokens(int32_t* tokens, std::span<uint64_t> is_seen)
    : tokens_(tokens), is_seen_(is_seen) {
  std::fill(is_seen_.begin(), is_seen_.end(), 0);
}

void SeenTokens::add(int32_t token) {
  uint64_t& word = is_seen_[static_cast<size_t>(token) / 64];
  const uint64_t bit = uint64_t{1} << (token % 64);
  if ((word & bit) != 0) return;
  word |= bit;
  tokens_[count_++] = token;
}

std::span<Candidate> filter_candidates(std::span<const float> logits, std::span<const int32_t> seen,
                                       const SamplingOptions& options,
                                       std::span<Candidate> candidates) {
  std::span<Candidate> left =
      penalized(logits, seen, options.repetition_penalty, candidates.first(logits.size()));
  left = cut_top_k(left, options.top_k);
  return cut_top_p_and_min_p(left, options);
}

int32_t sample_token(std::span<const float> logits, std::span<const int32_t> seen,
                     const SamplingOptions& options, double uniform,
                     std::span<Candidate> candidates) {
  if (options.temperature <= 0) {
    const auto all =
        penalized(logits, seen, options.repetition_penalty, candidates.first(logits.size()));
    return std::min_element(all.begin(), all.end(), more_likely)->token;
  }
  const std::span<Candidate> left = filter_candidates(logits, seen, options, candidates);
  const Weights weight(left, options.temperature);
  double rest = uniform * weight.total(left);
  for (const Candidate& candidate : left) {
    rest -= weight(candidate);
    if (rest < 0) return candidate.token;
  }
  return left.back().token;
}

}  // namespace borealis
