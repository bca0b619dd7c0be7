#include "checkpoint/sentencepiece_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string>

#include "base/error.h"
#include "base/json_excerpt.h"
#include "config/sentencepiece_model.h"

namespace borealis {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

// {} where there is none.
Json config_beside(const fs::path& model) {
  const fs::path file = model.parent_path() / "tokenizer_config.json";
  if (!fs::exists(file)) return Json::object();
  Json config = Json::parse(read_json_text(file), nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) {
    throw Error(ErrorKind::kData, fmt::format("{} is not a JSON object", file.string()),
                "give the files of one tokenizer, as they were published");
  }
  return config;
}

void put_defaults(const SentencePieceFacts& facts, Json& config) {
  config["tokenizer_class"] = "PreTrainedTokenizerFast";
  config["clean_up_tokenization_spaces"] = false;
  if (!facts.bos.empty()) config["bos_token"] = facts.bos;
  if (!facts.eos.empty()) config["eos_token"] = facts.eos;
  if (!facts.pad.empty()) config["pad_token"] = facts.pad;
  config["add_bos_token"] = !facts.bos.empty();
  config["add_eos_token"] = false;
}

void put_megatron_tokens(const SentencePieceFacts& facts, Json& config) {
  for (const SentencePieceToken& token : megatron_tokens(facts)) {
    config["added_tokens_decoder"][std::to_string(token.id)] = {
        {"content", token.text}, {"lstrip", false},      {"normalized", false},
        {"rstrip", false},       {"single_word", false}, {"special", true}};
  }
  config["eos_token"] = "<EOD>";
}

// A token is named by its text or by an object that holds it as "content"; "" for anything else.
std::string token_text(const Json& token) {
  if (token.is_object() && token.contains("content")) return token_text(token["content"]);
  return token.is_string() ? token.get<std::string>() : "";
}

std::string token_name(const Json& config, const char* key) {
  return config.contains(key) ? token_text(config[key]) : "";
}

std::optional<int64_t> id_of(const std::string& name, const SentencePieceFacts& facts,
                             const Json& config) {
  if (name.empty()) return std::nullopt;
  const Json added = config.value("added_tokens_decoder", Json::object());
  for (const auto& [number, token] : added.items()) {
    int64_t id = -1;
    std::from_chars(number.data(), number.data() + number.size(), id);
    if (id >= 0 && token_text(token) == name) return id;
  }
  const auto piece = std::ranges::find(facts.pieces, name);
  if (piece == facts.pieces.end()) return std::nullopt;
  return piece - facts.pieces.begin();
}

}  // namespace

Json sentencepiece_config(const TokenizerSource& source) {
  const SentencePieceFacts facts = read_sentencepiece_facts(source.path);
  Json config = config_beside(source.path);
  const bool is_hugging_face = source.type == TokenizerType::kHuggingFace;
  if (is_hugging_face && !config.empty()) return config;
  // Names and added tokens of another class would contradict the type's own.
  if (!is_hugging_face) config = Json::object();
  put_defaults(facts, config);
  if (!is_hugging_face) config["add_bos_token"] = source.type == TokenizerType::kLlama2;
  if (source.type == TokenizerType::kSentencePiece) put_megatron_tokens(facts, config);
  return config;
}

SpecialTokens sentencepiece_special_tokens(const TokenizerSource& source) {
  const SentencePieceFacts facts = read_sentencepiece_facts(source.path);
  const Json config = sentencepiece_config(source);
  const auto named = [&](const char* key, const std::string& otherwise) {
    const std::string name = token_name(config, key);
    return id_of(name.empty() ? otherwise : name, facts, config);
  };
  SpecialTokens tokens{
      .bos = named("bos_token", facts.bos), .eos = {}, .pad = named("pad_token", facts.pad)};
  if (const auto eos = named("eos_token", facts.eos)) tokens.eos.push_back(*eos);
  return tokens;
}

}  // namespace borealis
