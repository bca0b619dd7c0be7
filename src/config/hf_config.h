// ModelConfig to and from Hugging Face's config.json, for the two classes that hold what Borealis
// trains: LlamaForCausalLM and SmolLM3ForCausalLM.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "config/run_config.h"

namespace borealis {

// Ids that generation needs; absent where a vocabulary has no such token.
struct SpecialTokens {
  std::optional<int64_t> bos;
  std::vector<int64_t> eos;  // any of them ends a text
  std::optional<int64_t> pad;
};

std::string hf_architecture(const ModelConfig& model);  // "LlamaForCausalLM"

// Text of config.json. Every key is written, in the older spelling (rope_theta, rope_scaling,
// torch_dtype) that transformers 4 and 5 both read; the classes' defaults differ too much to lean
// on. The dtype is that of the stored weights. The name of the model goes to _name_or_path.
std::string hf_config_text(const ModelConfig& model, const SpecialTokens& tokens, DType dtype);
std::string hf_config_text(const ModelConfig& model, const SpecialTokens& tokens,
                           std::string_view torch_dtype);
std::string hf_generation_config_text(const SpecialTokens& tokens);

// Reads config.json's text; `path` is for messages. Throws Error(kData): not JSON, a key missing or
// of the wrong type, sizes that do not fit together, or a model that the decoder cannot compute
// (all the reasons at once: biases, sliding windows, other RoPE scalings, other architectures).
// Without _name_or_path the name is that of the folder.
ModelConfig parse_hf_config(std::string_view text, const std::filesystem::path& path);
SpecialTokens parse_hf_special_tokens(std::string_view text, const std::filesystem::path& path);

}  // namespace borealis
