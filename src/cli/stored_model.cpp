#include "cli/stored_model.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/units.h"
#include "checkpoint/run_checkpoints.h"
#include "model/parameter_layout.h"
#include "train/state_transfer.h"

namespace borealis {

std::vector<PromisedTensor> promised_tensors(const ModelConfig& model) {
  return promised_tensors(make_parameter_table(model));
}

bool has_vocabulary_rows(std::string_view tensor) {
  return tensor == "model.embed_tokens.weight" || tensor == "lm_head.weight";
}

StoredModel::StoredModel(const std::filesystem::path& given)
    : folder(find_model_folder(given)),
      config(load_model_config(folder)),
      promised(promised_tensors(config)),
      weights(folder) {
  require_promised(weights, promised, folder, config.tie_word_embeddings);
}

int64_t StoredModel::parameter_count() const {
  return make_parameter_table(config).parameter_count();
}

StoredDType StoredModel::dtype() const {
  const StoredDType first = weights.find(promised.front().name)->dtype;
  const bool all = std::ranges::all_of(promised, [&](const PromisedTensor& tensor) {
    return weights.find(tensor.name)->dtype == first;
  });
  return all ? first : StoredDType::kF32;
}

std::string StoredModel::description() const {
  const size_t files = weights.files().size();
  return fmt::format("{}, {} parameters, {} in {} file{}", hf_architecture(config),
                     format_count(parameter_count()), stored_dtype_name(dtype()), files,
                     files == 1 ? "" : "s");
}

std::optional<TokenizerLookup> StoredModel::tokenizer() const {
  return tokenizer_of_folder(folder);
}

std::optional<TokenizerLookup> tokenizer_of_folder(const std::filesystem::path& folder) {
  // An absolute path is no name in the Hugging Face cache.
  const TokenizerRequest request{.model = std::filesystem::absolute(folder).string()};
  TokenizerLookup found = find_tokenizer(request, "", process_environment());
  if (!found.source) return std::nullopt;
  return found;
}

int64_t largest_token_id(const TokenizerLookup& tokenizer) {
  return tokenizer.vocab_size.value_or(0) - 1;
}

void require_fitting_tokenizer(const TokenizerLookup& tokenizer, int64_t vocab_size) {
  const int64_t largest_id = largest_token_id(tokenizer);
  if (largest_id < vocab_size) return;
  throw Error(ErrorKind::kData,
              fmt::format("the tokenizer {} has token ids up to {}, beyond the model's "
                          "vocabulary of {}",
                          tokenizer.source->path, largest_id, vocab_size),
              "give the one that the model was trained with");
}

}  // namespace borealis
