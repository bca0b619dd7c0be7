#include "tokenizer/sentencepiece_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/json_excerpt.h"
#include "config/sentencepiece_model.h"

namespace borealis {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

class OptionsMaker {
 public:
  explicit OptionsMaker(const fs::path& model)
      : model_(model), facts_(read_sentencepiece_facts(model)) {
    if (facts_.denormalizes) {
      refuse(model_, "rewrites decoded text by rules of its own, which is not supported");
    }
  }

  SentencePieceOptions plain() && {  // GPTSentencePieceTokenizer
    options_.end_of_text = piece_id(facts_.eos);
    return std::move(options_);
  }

  SentencePieceOptions llama2() && {
    const auto bos = piece_id(facts_.bos);
    if (!bos) refuse(model_, "has no bos piece, which Llama2Tokenizer puts before every document");
    options_.document_prefix = {*bos};
    return std::move(*this).plain();
  }

  SentencePieceOptions megatron() && {  // SentencePieceTokenizer
    for (const SentencePieceToken& token : megatron_tokens(facts_)) {
      AddedToken added;
      added.id = token.id;
      added.content = token.text;
      added.special = true;
      options_.added_tokens.push_back(std::move(added));
    }
    options_.end_of_text = id_of("<EOD>");
    return std::move(options_);
  }

  SentencePieceOptions hugging_face() && {
    const fs::path file = model_.parent_path() / "tokenizer_config.json";
    json config = json::object();
    if (fs::exists(file)) config = json::parse(read_json_text(file), nullptr, false);
    if (!config.is_object()) refuse(file, "is not a JSON object");
    try {
      read_config(config, file);
    } catch (const json::exception& error) {
      refuse(file,
             fmt::format("is not laid out as a tokenizer_config.json: {}", fault_text(error)));
    }
    return std::move(options_);
  }

 private:
  [[noreturn]] static void refuse(const fs::path& file, const std::string& problem) {
    throw Error(ErrorKind::kData, fmt::format("{} {}", file.string(), problem),
                "give the files of one tokenizer, as they were published");
  }

  std::optional<int32_t> piece_id(const std::string& name) const {
    const auto found = std::ranges::find(facts_.pieces, name);
    if (name.empty() || found == facts_.pieces.end()) return std::nullopt;
    return static_cast<int32_t>(found - facts_.pieces.begin());
  }

  std::optional<int32_t> id_of(const std::string& name) const {
    const auto found = std::ranges::find(options_.added_tokens, name, &AddedToken::content);
    return found != options_.added_tokens.end() ? found->id : piece_id(name);
  }

  void read_config(const json& config, const fs::path& file) {
    const json tokens = config.value("added_tokens_decoder", json::object());
    for (const auto& [number, token] : tokens.items()) read_added_token(number, token, file);
    const std::string bos = token_name(config, "bos_token").value_or(facts_.bos);
    const std::string eos = token_name(config, "eos_token").value_or(facts_.eos);
    options_.end_of_text = id_of(eos);
    // Llama's and Gemma's classes put bos before a text unless told otherwise.
    const bool wants_bos = config.value("add_bos_token", !bos.empty());
    if (wants_bos) options_.document_prefix = {named(bos, "bos", file)};
    if (config.value("add_eos_token", false)) options_.document_suffix = {named(eos, "eos", file)};
  }

  int32_t named(const std::string& name, const char* role, const fs::path& file) const {
    const auto id = id_of(name);
    if (!id) {
      refuse(file, fmt::format("wants {} around a text, \"{}\", which has no id", role, name));
    }
    return *id;
  }

  static std::optional<std::string> token_name(const json& config, const char* key) {
    if (!config.contains(key) || config[key].is_null()) return std::nullopt;
    const json& token = config[key];
    return token.is_object() ? token.at("content").get<std::string>() : token.get<std::string>();
  }

  void read_added_token(const std::string& number, const json& token, const fs::path& file) {
    AddedToken added;
    const auto [end, fault] =
        std::from_chars(number.data(), number.data() + number.size(), added.id);
    if (fault != std::errc() || end != number.data() + number.size() || added.id < 0) {
      refuse(file, fmt::format("has an added token with the id \"{}\"", number));
    }
    added.content = token.at("content").get<std::string>();
    added.single_word = token.value("single_word", false);
    added.lstrip = token.value("lstrip", false);
    added.rstrip = token.value("rstrip", false);
    added.special = token.value("special", false);
    const auto place = static_cast<size_t>(added.id);
    if (place < facts_.pieces.size() && facts_.pieces[place] != added.content) {
      refuse(file, fmt::format("calls the id {} \"{}\", the model calls it \"{}\"", added.id,
                               added.content, facts_.pieces[place]));
    }
    options_.added_tokens.push_back(std::move(added));
  }

  fs::path model_;
  SentencePieceFacts facts_;
  SentencePieceOptions options_;
};

}  // namespace

SentencePieceOptions sentencepiece_options(TokenizerType type, const fs::path& model) {
  OptionsMaker maker(model);
  switch (type) {
    case TokenizerType::kLlama2:
      return std::move(maker).llama2();
    case TokenizerType::kSentencePiece:
      return std::move(maker).megatron();
    case TokenizerType::kHuggingFace:
      return std::move(maker).hugging_face();
    default:
      return std::move(maker).plain();
  }
}

}  // namespace borealis
