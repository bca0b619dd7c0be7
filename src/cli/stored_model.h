// A model folder, opened by the commands that look at checkpoints without loading them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/model_folder.h"
#include "checkpoint/promised_tensors.h"
#include "config/run_config.h"
#include "config/tokenizer_lookup.h"

namespace borealis {

std::vector<PromisedTensor> promised_tensors(const ModelConfig& model);
bool has_vocabulary_rows(std::string_view tensor);  // the embedding and the head

struct StoredModel {
  std::filesystem::path folder;  // of the model itself
  ModelConfig config;
  std::vector<PromisedTensor> promised;
  ModelWeights weights;

  // `given` as find_model_folder() takes it. Throws Error(kData) also if tensors are missing,
  // unexpected or of another shape than config.json says, naming them.
  explicit StoredModel(const std::filesystem::path& given);

  int64_t parameter_count() const;
  // That of all tensors; F32, which holds the values of the others, where they differ.
  StoredDType dtype() const;
  std::string description() const;  // "SmolLM3ForCausalLM, 1 234 parameters, BF16 in 2 files"
  // Its own tokenizer; none where its folder holds no files of one. Throws Error(kData).
  std::optional<TokenizerLookup> tokenizer() const;
};

// That of any folder, as above.
std::optional<TokenizerLookup> tokenizer_of_folder(const std::filesystem::path& folder);

int64_t largest_token_id(const TokenizerLookup& tokenizer);
// Throws Error(kData) if the tokenizer has ids that a model of vocab_size entries has not.
void require_fitting_tokenizer(const TokenizerLookup& tokenizer, int64_t vocab_size);

}  // namespace borealis
