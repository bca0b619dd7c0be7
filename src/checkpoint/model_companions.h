// What travels with a model's weights: the tokenizer's files, generation_config.json and what else
// of Hugging Face's lies beside a model, such as a chat template.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/held_file.h"
#include "config/hf_config.h"
#include "config/tokenizer_types.h"

namespace borealis {

class FolderWriter;

// Found once, when a run begins, and written with each of its models: a file that is removed or
// replaced meanwhile is written as it was.
class ModelCompanions {
 public:
  // Of no tokenizer.
  ModelCompanions() = default;
  // The files that copy_tokenizer_files() copies. model_folder: what lies there besides is kept as
  // it is, generation_config.json and the ids in it too; empty: nothing. It has to be that of a
  // model with the same tokenizer. Throws Error(kFile) or Error(kData).
  explicit ModelCompanions(const std::optional<TokenizerSource>& tokenizer,
                           const std::filesystem::path& model_folder = {});

  const SpecialTokens& special_tokens() const { return special_tokens_; }
  void write(FolderWriter& folder) const;  // throws Error(kFile)

 private:
  struct Companion {
    std::string name;
    std::optional<HeldFile> file;  // none: the text
    std::string text;
  };
  bool has(const std::string& name) const;

  std::vector<Companion> companions_;
  SpecialTokens special_tokens_;
};

}  // namespace borealis
