#include "checkpoint/model_companions.h"

#include <algorithm>

#include "base/file.h"
#include "checkpoint/folder_writer.h"
#include "checkpoint/model_conversion.h"
#include "checkpoint/model_folder.h"
#include "checkpoint/tokenizer_files.h"

namespace borealis {

ModelCompanions::ModelCompanions(const std::optional<TokenizerSource>& tokenizer,
                                 const std::filesystem::path& model_folder) {
  if (tokenizer) {
    for (TokenizerFile& file : tokenizer_files(*tokenizer)) {
      companions_.push_back({std::move(file.name), {}, std::move(file.text)});
      if (!file.from.empty()) companions_.back().file.emplace(file.from);
    }
    special_tokens_ = read_special_tokens(*tokenizer);
  }
  if (model_folder.empty()) return;
  for (const std::string& name : companion_files(model_folder)) {
    if (!has(name)) companions_.push_back({name, HeldFile(model_folder / name), ""});
  }
  special_tokens_ = load_special_tokens(model_folder);
}

bool ModelCompanions::has(const std::string& name) const {
  return std::ranges::find(companions_, name, &Companion::name) != companions_.end();
}

void ModelCompanions::write(FolderWriter& folder) const {
  for (const Companion& companion : companions_) {
    if (companion.file) {
      copy_file_atomically(companion.file->path(), folder.partial_path() / companion.name);
    } else {
      folder.write_text(companion.name, companion.text);
    }
  }
  if (!has(kGenerationConfigFile)) {
    folder.write_text(kGenerationConfigFile, hf_generation_config_text(special_tokens_));
  }
}

}  // namespace borealis
