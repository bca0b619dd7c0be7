// Model folders for tests of what reads and converts them.
#pragma once

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "checkpoint/model_conversion.h"
#include "checkpoint/model_folder.h"
#include "checkpoint/promised_tensors.h"

namespace borealis::testing {

struct Values {
  std::vector<int64_t> shape;
  std::vector<float> elements;
};
using NamedValues = std::map<std::string, Values>;

inline ModelConfig tiny_config() {
  ModelConfig model;
  model.name = "tiny";
  model.hf_model_type = "llama";
  model.num_hidden_layers = 1;
  model.hidden_size = 4;
  model.num_attention_heads = 2;
  model.num_key_value_heads = 1;
  model.head_dim = 2;
  model.intermediate_size = 8;
  model.vocab_size = 3;
  model.max_position_embeddings = 64;
  model.rope_theta = 10000;
  model.rope_on_layer = {true};
  return model;
}

// Two of the tensors that such a model has; what else is promised is up to the test.
inline NamedValues tiny_values() {
  return {{"model.embed_tokens.weight", {{3, 4}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, -12.5, 0.25}}},
          {"model.norm.weight", {{4}, {1, -1, 0.5, 2}}}};
}

inline std::vector<PromisedTensor> promised(const NamedValues& values) {
  std::vector<PromisedTensor> list;
  for (const auto& [name, tensor] : values) list.push_back({name, tensor.shape});
  return list;
}

// Of values in memory, which must outlive it.
inline TensorElements elements_in(const std::string& name, const Values& values) {
  return {.name = name,
          .dtype = StoredDType::kF32,
          .shape = values.shape,
          .read = [elements = values.elements](int64_t begin, std::span<float> out) {
            std::copy_n(elements.begin() + begin, out.size(), out.begin());
          }};
}

inline ConvertedModel model_of(const NamedValues& values, StoredDType dtype = StoredDType::kF32) {
  ConvertedModel model{
      .config = tiny_config(), .tensors = {}, .dtype = dtype, .special_tokens = {}};
  for (const auto& [name, tensor] : values) {
    model.tensors.push_back(converted(elements_in(name, tensor), tensor.shape.front(), dtype));
  }
  return model;
}

inline std::vector<float> read_all(const ModelWeights& weights, const std::string& name) {
  const TensorElements tensor = elements_of(weights, name);
  std::vector<float> values(static_cast<size_t>(tensor.element_count()));
  tensor.read(0, values);
  return values;
}

inline void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace borealis::testing
