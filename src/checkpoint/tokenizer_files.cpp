#include "checkpoint/tokenizer_files.h"

#include <fmt/format.h>

#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "base/json_excerpt.h"
#include "checkpoint/sentencepiece_files.h"

namespace borealis {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kConfigFile = "tokenizer_config.json";
constexpr const char* kGpt2EndOfText = "<|endoftext|>";

struct SpecialTokenNames {
  std::string bos, eos, pad;  // empty where there is none
};

[[noreturn]] void reject_tokenizer(const std::filesystem::path& path, const std::string& problem) {
  throw Error(ErrorKind::kData, fmt::format("{}: {}", path.string(), problem),
              "make the tokenizer file again");
}

Json parse_json_object(const std::filesystem::path& path, const Json::parser_callback_t& filter) {
  Json object = Json::parse(read_json_text(path), filter, /*allow_exceptions=*/false);
  if (!object.is_object()) reject_tokenizer(path, "is not a JSON object");
  return object;
}

// Text to id of the added tokens. The vocabulary proper, megabytes of it, is not even built.
std::map<std::string, int64_t> read_added_tokens(const std::filesystem::path& tokenizer_json) {
  const auto skip_model = [](int depth, Json::parse_event_t event, Json& value) {
    return !(depth == 1 && event == Json::parse_event_t::key && value == "model");
  };
  const Json tokenizer = parse_json_object(tokenizer_json, skip_model);
  std::map<std::string, int64_t> ids;
  const auto list = tokenizer.find("added_tokens");
  if (list == tokenizer.end() || !list->is_array()) return ids;
  for (const Json& token : *list) {
    if (!token.is_object() || !token.contains("id") || !token["id"].is_number_unsigned() ||
        !token.contains("content") || !token["content"].is_string()) {
      reject_tokenizer(tokenizer_json, "has an entry of added_tokens without an id and a content");
    }
    ids[token["content"].get<std::string>()] = token["id"].get<int64_t>();
  }
  return ids;
}

// A token is named by its text or by an object that holds it as "content".
std::string token_text(const Json& config, const char* key) {
  const auto found = config.find(key);
  if (found == config.end()) return "";
  const Json& value =
      found->is_object() && found->contains("content") ? (*found)["content"] : *found;
  return value.is_string() ? value.get<std::string>() : "";
}

template <size_t N>
std::string first_known(const std::map<std::string, int64_t>& ids,
                        const std::array<const char*, N>& names) {
  for (const char* name : names) {
    if (ids.contains(name)) return name;
  }
  return "";
}

SpecialTokenNames special_token_names(const std::filesystem::path& tokenizer_json,
                                      const std::map<std::string, int64_t>& ids) {
  const std::filesystem::path config_path = tokenizer_json.parent_path() / kConfigFile;
  if (std::filesystem::exists(config_path)) {
    const Json config = parse_json_object(config_path, nullptr);
    return {token_text(config, "bos_token"), token_text(config, "eos_token"),
            token_text(config, "pad_token")};
  }
  return {first_known(ids, std::array{"<|begin_of_text|>", "<bos>", "<s>"}),
          first_known(ids, std::array{"<|endoftext|>", "<|end_of_text|>", "<eos>", "</s>"}),
          first_known(ids, std::array{"<|pad|>", "<pad>", "[PAD]"})};
}

std::string minimal_tokenizer_config(const SpecialTokenNames& names) {
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"clean_up_tokenization_spaces", false}};
  if (!names.bos.empty()) config["bos_token"] = names.bos;
  if (!names.eos.empty()) config["eos_token"] = names.eos;
  if (!names.pad.empty()) config["pad_token"] = names.pad;
  return json_text(config, 2) + "\n";
}

SpecialTokens json_special_tokens(const std::filesystem::path& tokenizer_json) {
  const std::map<std::string, int64_t> ids = read_added_tokens(tokenizer_json);
  const SpecialTokenNames names = special_token_names(tokenizer_json, ids);
  const auto id = [&](const std::string& name) -> std::optional<int64_t> {
    const auto found = ids.find(name);
    return found == ids.end() ? std::nullopt : std::optional(found->second);
  };
  SpecialTokens tokens{.bos = id(names.bos), .eos = {}, .pad = id(names.pad)};
  if (const std::optional<int64_t> eos = id(names.eos)) tokens.eos.push_back(*eos);
  return tokens;
}

std::vector<TokenizerFile> json_files(const std::filesystem::path& tokenizer_json) {
  std::vector<TokenizerFile> files = {{"tokenizer.json", tokenizer_json, ""}};
  const std::filesystem::path config = tokenizer_json.parent_path() / kConfigFile;
  if (std::filesystem::exists(config)) {
    files.push_back({kConfigFile, config, ""});
  } else {
    const SpecialTokenNames names =
        special_token_names(tokenizer_json, read_added_tokens(tokenizer_json));
    files.push_back({kConfigFile, {}, minimal_tokenizer_config(names)});
  }
  return files;
}

TokenizerFile config_file(const Json& config) {
  return {kConfigFile, {}, json_text(config, 2) + "\n"};
}

SpecialTokens gpt2_special_tokens(const std::filesystem::path& vocab) {
  const Json pieces = parse_json_object(vocab, nullptr);
  const auto end = pieces.find(kGpt2EndOfText);
  if (end == pieces.end() || !end->is_number_unsigned()) {
    reject_tokenizer(vocab, fmt::format("has no id for {}", kGpt2EndOfText));
  }
  return {.bos = {}, .eos = {end->get<int64_t>()}, .pad = {}};
}

std::vector<TokenizerFile> gpt2_files(const TokenizerSource& source) {
  return {{"vocab.json", source.path, ""},
          {"merges.txt", source.merges, ""},
          config_file({{"tokenizer_class", "GPT2Tokenizer"},
                       {"add_prefix_space", false},
                       {"clean_up_tokenization_spaces", false},
                       {"bos_token", kGpt2EndOfText},
                       {"eos_token", kGpt2EndOfText},
                       {"unk_token", kGpt2EndOfText}})};
}

}  // namespace

SpecialTokens read_special_tokens(const TokenizerSource& source) {
  switch (source.format()) {
    case TokenizerFormat::kNumbers:
      return {.bos = {}, .eos = {source.size}, .pad = {}};
    case TokenizerFormat::kGpt2:
      return gpt2_special_tokens(source.path);
    case TokenizerFormat::kSentencePiece:
      return sentencepiece_special_tokens(source);
    case TokenizerFormat::kJson:
      break;
  }
  return json_special_tokens(source.path);
}

std::vector<TokenizerFile> tokenizer_files(const TokenizerSource& source) {
  switch (source.format()) {
    case TokenizerFormat::kNumbers:  // nothing of Hugging Face's; find_tokenizer() reads it
      return {config_file(
          {{"tokenizer_class", tokenizer_type_name(source.type)}, {"vocab_size", source.size}})};
    case TokenizerFormat::kGpt2:
      return gpt2_files(source);
    case TokenizerFormat::kSentencePiece:
      return {{"tokenizer.model", source.path, ""}, config_file(sentencepiece_config(source))};
    case TokenizerFormat::kJson:
      break;
  }
  return json_files(source.path);
}

void copy_tokenizer_files(const TokenizerSource& source, const std::filesystem::path& folder) {
  for (const TokenizerFile& file : tokenizer_files(source)) {
    if (file.from.empty()) {
      write_file_atomically(folder / file.name, file.text);
    } else {
      copy_file_atomically(file.from, folder / file.name);
    }
  }
}

}  // namespace borealis
