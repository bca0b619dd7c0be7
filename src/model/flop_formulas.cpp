#include "model/flop_formulas.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "model/accounting.h"
#include "telemetry/tracked_metrics.h"

namespace borealis {
namespace {

// Of all layers, over the full square: two products of a d x s, forward and twice backward.
double attention_flops(const ModelConfig& model, int64_t seq_length) {
  return 12 * static_cast<double>(model.num_hidden_layers * model.query_size()) *
         static_cast<double>(seq_length);
}

double without_keys_and_values(const ModelConfig& model, int64_t seq_length) {
  return ds_flops_per_token(model, seq_length, /*recompute=*/false);
}

double causal(const ModelConfig& model, int64_t seq_length) {
  return flops_per_token(model, seq_length) - attention_flops(model, seq_length) / 2;
}

double six_n(const ModelConfig& model, int64_t /*seq_length*/) {
  return 6 * static_cast<double>(parameter_count(model));
}

double six_n_with_attention(const ModelConfig& model, int64_t seq_length) {
  return six_n(model, seq_length) + attention_flops(model, seq_length);
}

constexpr std::array kFormulas = {
    FlopFormula{"lm", kFlopsFormulaName, kFlopsFormula,
                "attention over the full square of the sequence", flops_per_token},
    FlopFormula{"ds", "DeepSpeed formula of Megatron-DeepSpeed",
                "F = 6 [L ((2 + ⌊2/(a/k)⌋) h² + 2hs + 3fh) + Vh]",
                "keys and values count nothing from three query heads for each on",
                without_keys_and_values},
    FlopFormula{"causal", "LM formula, causal", "F = 6 [L (2had + 2hkd + 3hf + ads) + Vh]",
                "half the square: what a causal mask leaves to do", causal},
    FlopFormula{"6n", "6N", "F = 6N", "six times all parameters, no attention", six_n},
    FlopFormula{"6n_attention", "6N with attention", "F = 6N + 12Lads",
                "the input embedding counts as a product, attention over the full square",
                six_n_with_attention}};

}  // namespace

std::span<const FlopFormula> flop_formulas() { return kFormulas; }

const FlopFormula& flop_formula(std::string_view key) {
  const auto found =
      std::ranges::find_if(kFormulas, [&](const FlopFormula& one) { return one.key == key; });
  CHECK(found != kFormulas.end(), key);
  return *found;
}

}  // namespace borealis
