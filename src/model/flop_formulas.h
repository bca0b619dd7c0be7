// The formulas by which the field turns tokens per second into TFLOPs. One run reads very different
// by them, so a figure carries the name of its own. All are floating point operations per token,
// forward and backward, recomputation not counted, in the letters of architecture_values():
// L layers, h hidden size, a attention heads, k key/value heads, d head dimension, f feed-forward
// size, V vocabulary, s sequence length, N parameters with the input embedding.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "config/run_config.h"

namespace borealis {

struct FlopFormula {
  const char* key;   // "lm", in file formats
  const char* name;  // "LM formula of Megatron-DeepSpeed"
  const char* text;  // "F = 6 [...]"
  const char* note;  // what it counts that others do not; for readers
  double (*flops_per_token)(const ModelConfig&, int64_t seq_length);
};

// The report's own first:
//   lm            attention over the full square of the sequence (accounting.h)
//   ds            the reference's throughput/tflops: the integer division floor(2 / (a / k)) counts
//                 keys and values only where there are at most two query heads for each
//   causal        as lm, half the square: what a causal mask leaves to do
//   6n            six times the parameters, no attention (Kaplan et al., arXiv:2001.08361)
//   6n_attention  the same with attention over the full square (PaLM, arXiv:2204.02311, appendix B)
std::span<const FlopFormula> flop_formulas();
// The one of that key. Requires one.
const FlopFormula& flop_formula(std::string_view key);

}  // namespace borealis
