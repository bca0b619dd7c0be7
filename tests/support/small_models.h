// Model shapes for tests.
#pragma once

#include "config/run_config.h"

namespace borealis::testing {

inline ModelConfig small_llama(int64_t layers = 3) {
  ModelConfig model;
  model.name = "small";
  model.hf_model_type = "llama";
  model.num_hidden_layers = layers;
  model.hidden_size = 48;
  model.num_attention_heads = 4;
  model.num_key_value_heads = 2;
  model.head_dim = 12;
  model.intermediate_size = 100;
  model.vocab_size = 128;
  model.max_position_embeddings = 64;
  model.rope_theta = 10000;
  model.rope_on_layer.assign(static_cast<size_t>(layers), true);
  model.init_method_std = 0.05;
  return model;
}

// The report's two shapes, with V = 256000 and an untied head.
inline ModelConfig report_llama3(int64_t layers) {
  ModelConfig model = small_llama(layers);
  model.hidden_size = 3072;
  model.num_attention_heads = 24;
  model.num_key_value_heads = 8;
  model.head_dim = 128;
  model.intermediate_size = 8192;
  model.vocab_size = 256000;
  return model;
}

inline ModelConfig report_smollm3(int64_t layers) {
  ModelConfig model = small_llama(layers);
  model.hidden_size = 2048;
  model.num_attention_heads = 16;
  model.num_key_value_heads = 4;
  model.head_dim = 128;
  model.intermediate_size = 11008;
  model.vocab_size = 256000;
  return model;
}

}  // namespace borealis::testing
