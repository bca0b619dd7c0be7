#include "config/presets.h"

#include <cmath>

namespace borealis {
namespace {

constexpr RopeScaling kLlama32Scaling = {.factor = 32.0,
                                         .low_freq_factor = 1.0,
                                         .high_freq_factor = 4.0,
                                         .original_max_position_embeddings = 8192};

std::vector<ModelPreset> reference_presets() {
  return {
      {.accepted = {"7B", "AuroraGPT-7B", "aurora-gpt-7b", "llama-3.1-7B", "llama-3.1-7b",
                    "llama-3.2-7B", "llama-3.2-7b"},
       .name = "AuroraGPT-7B",
       .num_hidden_layers = 32,
       .hidden_size = 4096,
       .num_attention_heads = 32,
       .num_key_value_heads = 8,
       .intermediate_size = 11008,
       .seq_length = 4096,
       .takes = {"HEADS", "NLAYERS", "HIDDEN", "NUM_KV_HEAD", "FFN_HIDDEN_SIZE", "SEQ"},
       .note = "the reference trainer's 7B shape, its own default."},
      {.accepted = {"2B", "AuroraGPT-2B", "AuroraGPT_2B", "Aurora-GPT-2B", "AuroraGPT2B",
                    "Aurora_GPT_2B", "aurora-gpt-2b", "aurora_gpt_2b"},
       .name = "AuroraGPT-2B",
       .num_hidden_layers = 12,
       .hidden_size = 2048,
       .num_attention_heads = 16,
       .num_key_value_heads = 4,
       .intermediate_size = 11008,
       .seq_length = 8192,
       .note = "the reference trainer's 2B shape."},
      {.accepted = {"llama3-3B", "llama-3B"},
       .name = "llama3-3B",
       .layers_in_name = true,
       .num_hidden_layers = 28,
       .hidden_size = 3072,
       .num_attention_heads = 24,
       .num_key_value_heads = 8,
       .intermediate_size = 8192,
       .seq_length = 8192,
       .takes = {"NLAYERS"},
       .note = "the reference trainer's shape: Llama-3.2-3B's layers, with an untied head and RoPE "
               "unscaled at theta 50000; the released model is MODEL_ARCH=Llama-3.2-3B."},
      {.accepted = {"smollm3-3B", "smollm3_3B"},
       .name = "smollm3",
       .layers_in_name = true,
       .num_hidden_layers = 24,
       .hidden_size = 2048,
       .num_attention_heads = 16,
       .num_key_value_heads = 4,
       .intermediate_size = 11008,
       .seq_length = 8192,
       .takes = {"NLAYERS"},
       .note =
           "the reference trainer's shape: SmolLM3's layers, with RoPE in every layer, an "
           "untied head and 24 layers by default; the released model is MODEL_ARCH=SmolLM3-3B."},
      {.accepted = {"phi4-mini", "phi4_mini"},
       .name = "phi4-mini",
       .layers_in_name = true,
       .num_hidden_layers = 24,
       .hidden_size = 3072,
       .num_attention_heads = 32,
       .num_key_value_heads = 8,
       .intermediate_size = 8192,
       .seq_length = 8192,
       .takes = {"NLAYERS"},
       .note = "the reference trainer's shape: 24 layers by default, RoPE over the whole head, an "
               "untied head; the released Phi-4-mini differs in all three."},
      {.accepted = {"70B"},
       .name = "AuroraGPT-70B",
       .num_hidden_layers = 80,
       .hidden_size = 8192,
       .num_attention_heads = 64,
       .num_key_value_heads = 8,
       .intermediate_size = 28672,
       .seq_length = 8192,
       .note = "the reference trainer's 70B shape."},
      {.accepted = {"33B", "llama-3.2-33B", "llama-3.2-33b"},
       .name = "AuroraGPT-33B",
       .num_hidden_layers = 78,
       .hidden_size = 8268,
       .num_attention_heads = 78,
       .num_key_value_heads = 6,
       .intermediate_size = 11076,
       .seq_length = 4096,
       .note = "the reference trainer's 33B shape; there it always runs with TP=6, which is not "
               "available yet, and ZERO_STAGE=2."},
  };
}

std::vector<ModelPreset> released_presets() {
  return {
      {.accepted = {"Llama-3.2-1B"},
       .name = "Llama-3.2-1B",
       .num_hidden_layers = 16,
       .hidden_size = 2048,
       .num_attention_heads = 32,
       .num_key_value_heads = 8,
       .intermediate_size = 8192,
       .seq_length = 8192,
       .takes = {"NLAYERS", "SEQ"},
       .defaults = {{"ROPE_THETA", "500000"},
                    {"--tie-word-embeddings", "true"},
                    {"TOKENIZER_MODEL", "meta-llama/Llama-3.2-1B"}},
       .vocab_size = 128256,
       .max_position_embeddings = 131072,
       .rope_scaling = kLlama32Scaling,
       .note = "the released model's shape."},
      {.accepted = {"Llama-3.2-3B"},
       .name = "Llama-3.2-3B",
       .num_hidden_layers = 28,
       .hidden_size = 3072,
       .num_attention_heads = 24,
       .num_key_value_heads = 8,
       .intermediate_size = 8192,
       .seq_length = 8192,
       .takes = {"NLAYERS", "SEQ"},
       .defaults = {{"ROPE_THETA", "500000"},
                    {"--tie-word-embeddings", "true"},
                    {"TOKENIZER_MODEL", "meta-llama/Llama-3.2-3B"}},
       .vocab_size = 128256,
       .max_position_embeddings = 131072,
       .rope_scaling = kLlama32Scaling,
       .note = "the released model's shape; MODEL_ARCH=llama3-3B is the reference trainer's "
               "variant."},
      {.accepted = {"SmolLM3-3B"},
       .name = "SmolLM3-3B",
       .num_hidden_layers = 36,
       .hidden_size = 2048,
       .num_attention_heads = 16,
       .num_key_value_heads = 4,
       .intermediate_size = 11008,
       .seq_length = 8192,
       .takes = {"NLAYERS", "SEQ"},
       .defaults = {{"ROPE_THETA", "5000000"},
                    {"--rms-norm-eps", "1e-6"},
                    {"--tie-word-embeddings", "true"},
                    {"--no-rope-layer-interval", "4"},
                    {"TOKENIZER_MODEL", "HuggingFaceTB/SmolLM3-3B"}},
       .hf_model_type = "smollm3",
       .vocab_size = 128256,
       .max_position_embeddings = 65536,
       .note = "the released model's shape: tied head, no RoPE in every fourth layer; "
               "MODEL_ARCH=smollm3-3B is the reference trainer's variant."},
  };
}

// Small enough to learn something in minutes on two cores.
ModelPreset small_preset() {
  return {.accepted = {"borealis-small"},
          .name = "borealis-small",
          .num_hidden_layers = 4,
          .hidden_size = 256,
          .num_attention_heads = 4,
          .num_key_value_heads = 2,
          .intermediate_size = 768,
          .seq_length = 256,
          .takes = {"HEADS", "NLAYERS", "HIDDEN", "NUM_KV_HEAD", "FFN_HIDDEN_SIZE", "SEQ"},
          .defaults = {{"ROPE_THETA", "10000"},
                       {"MICRO_BATCH", "16"},
                       {"TRAIN_ITERS", "300"},
                       {"LR", "0.002"},
                       {"--min-lr", "0.0002"},
                       {"EVAL_ITERS", "4"},
                       {"SAVE_INTERVAL", "0"},
                       {"TRAIN_SPLIT", "950"},
                       {"VAL_SPLIT", "50"},
                       {"TOKENIZER_MODEL", "data/bible-kjv/tokenizer.json"}},
          .assumed_vocab_size = 4096,
          .note = "a small model that trains in minutes; the default where MODEL_ARCH is unset."};
}

}  // namespace

const std::vector<ModelPreset>& model_presets() {
  static const std::vector<ModelPreset> presets = [] {
    std::vector<ModelPreset> all = {small_preset()};
    for (ModelPreset& preset : reference_presets()) all.push_back(std::move(preset));
    for (ModelPreset& preset : released_presets()) all.push_back(std::move(preset));
    return all;
  }();
  return presets;
}

const ModelPreset& default_preset() { return model_presets().front(); }

const ModelPreset* find_preset(std::string_view model_arch) {
  for (const ModelPreset& preset : model_presets()) {
    for (const std::string_view accepted : preset.accepted) {
      if (accepted == model_arch) return &preset;
    }
  }
  return nullptr;
}

std::vector<std::string_view> preset_names() {
  std::vector<std::string_view> names;
  for (const ModelPreset& preset : model_presets()) {
    names.insert(names.end(), preset.accepted.begin(), preset.accepted.end());
  }
  return names;
}

double exact_init_std(int64_t hidden_size) {
  return std::sqrt(2.0 / (5.0 * static_cast<double>(hidden_size)));
}

double as_run_init_std(int64_t hidden_size) {
  const int64_t millionths = 2'000'000 / (5 * hidden_size);
  const double root = std::sqrt(static_cast<double>(millionths * 1'000'000));
  return std::floor(root) / 1e6;
}

}  // namespace borealis
