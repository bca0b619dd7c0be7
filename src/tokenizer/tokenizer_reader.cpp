#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_excerpt.h"
#include "base/log.h"
#include "tokenizer/json_file.h"
#include "tokenizer/model_reader.h"
#include "tokenizer/pipeline_reader.h"
#include "tokenizer/tokenizer_definition.h"

namespace borealis {
namespace {

// eos_token of a tokenizer_config.json: a string, or an object with "content".
std::optional<std::string> configured_end_of_text(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  const auto config =
      nlohmann::json::parse(read_json_text(path), nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) {
    throw Error(ErrorKind::kData, fmt::format("{} is not a JSON object", path.string()),
                "fetch or write it again");
  }
  if (!config.contains("eos_token")) return std::nullopt;
  const nlohmann::json& token = config["eos_token"];
  if (token.is_string()) return token.get<std::string>();
  if (token.is_object() && token.contains("content") && token["content"].is_string()) {
    return token["content"].get<std::string>();
  }
  return std::nullopt;
}

}  // namespace

TokenizerDefinition parse_tokenizer_json(std::string_view text, const std::string& name) {
  JsonFile file(name);
  const JsonFile::Element root = file.parse(text);
  if (!root.is_object() || !file.find(root, "model")) {
    file.refuse("has no \"model\"", "give the tokenizer.json of a Hugging Face tokenizer");
  }
  for (const char* part : {"truncation", "padding"}) {
    if (file.find(root, part)) {
      log_warning(fmt::format("{} sets {}; texts are encoded whole instead", name, part));
    }
  }
  TokenizerDefinition definition;
  ModelReader model(file, definition);
  model.read_model(file.at(root, "model"));
  model.read_added_tokens(root);
  read_normalizer(file, file.find(root, "normalizer"), definition);
  read_pre_tokenizer(file, file.find(root, "pre_tokenizer"), definition);
  read_post_processor(file, file.find(root, "post_processor"), definition);
  read_decoder(file, file.find(root, "decoder"), definition);
  return definition;
}

TokenizerDefinition read_tokenizer(const std::filesystem::path& path) {
  const std::filesystem::path file =
      std::filesystem::is_directory(path) ? path / "tokenizer.json" : path;
  if (!std::filesystem::exists(file)) {
    throw Error(ErrorKind::kFile, fmt::format("{} does not exist", file.string()),
                "give a tokenizer.json or its folder; `borealis tokenizer train` makes one");
  }
  TokenizerDefinition definition = parse_tokenizer_json(read_json_text(file), file.string());
  definition.end_of_text = configured_end_of_text(file.parent_path() / "tokenizer_config.json");
  return definition;
}

}  // namespace borealis
