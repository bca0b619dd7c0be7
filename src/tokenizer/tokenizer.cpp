#include "tokenizer/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "base/file.h"
#include "tokenizer/bpe_merge.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/split_pattern.h"

namespace borealis {
namespace {

using Json = nlohmann::json;

struct AddedToken {
  std::string text;
  int32_t id = 0;
  bool special = false;
};

[[noreturn]] void unsupported(const std::filesystem::path& path, const std::string& what) {
  throw Error(
      ErrorKind::kData, fmt::format("{}: {} is not supported", path.string(), what),
      "use a byte-level BPE tokenizer (GPT-2, Llama 3, SmolLM, `borealis tokenizer train`)");
}

// "left right" or ["left", "right"]; pieces may hold any white space but the one ASCII blank.
std::pair<std::string, std::string> merge_pieces(const Json& merge) {
  if (merge.is_array()) return {merge.at(0).get<std::string>(), merge.at(1).get<std::string>()};
  const auto text = merge.get<std::string>();
  const size_t space = text.find(' ');
  if (space == std::string::npos) throw std::invalid_argument("a merge without a blank");
  return {text.substr(0, space), text.substr(space + 1)};
}

// The regular expression that the pre-tokenizer splits by; empty: words are whole texts.
std::string split_pattern_of(const Json& pre_tokenizer, const std::filesystem::path& path) {
  const auto type = pre_tokenizer.is_null() ? "" : pre_tokenizer.at("type").get<std::string>();
  if (type == "ByteLevel") {
    if (pre_tokenizer.value("add_prefix_space", false)) unsupported(path, "add_prefix_space");
    return pre_tokenizer.value("use_regex", true) ? kGpt2Pattern : "";
  }
  if (type != "Sequence") unsupported(path, fmt::format("the pre-tokenizer '{}'", type));
  std::string pattern;
  bool byte_level = false;
  for (const Json& part : pre_tokenizer.at("pretokenizers")) {
    if (part.at("type") == "Split" && pattern.empty() && part.at("pattern").contains("Regex") &&
        part.at("behavior") == "Isolated" && !part.value("invert", false)) {
      pattern = part.at("pattern").at("Regex").get<std::string>();
    } else if (part.at("type") == "ByteLevel" && !byte_level) {
      byte_level = true;
      if (const std::string own = split_pattern_of(part, path); !own.empty()) {
        if (!pattern.empty()) unsupported(path, "two split patterns in a row");
        pattern = own;
      }
    } else {
      unsupported(path, fmt::format("the pre-tokenizer {}", part.dump()));
    }
  }
  if (!byte_level) unsupported(path, "a BPE that does not work on bytes");
  return pattern;
}

}  // namespace

struct Tokenizer::Model {
  std::filesystem::path path;
  std::unordered_map<std::string, int32_t> vocab;  // bytes of a piece -> id
  std::unordered_map<int32_t, std::string> pieces;
  std::unordered_set<int32_t> special;
  std::array<int32_t, 256> byte_ids{};
  MergeTable merges;
  bool ignore_merges = false;
  std::optional<SplitPattern> pattern;
  std::vector<AddedToken> added;
  std::vector<int32_t> before, after;  // of the template
  std::optional<int32_t> end_of_text;
  int64_t vocab_size = 0;

  void load(const Json& document);
  void load_vocabulary(const Json& model);
  void load_added_tokens(const Json& document);
  void load_template(const Json& processor);
  void find_end_of_text();
  void encode_word(std::string_view word, std::vector<int32_t>& ids) const;
  void encode_plain(std::string_view text, std::vector<int32_t>& ids) const;
};

void Tokenizer::Model::load(const Json& document) {
  const Json& model = document.at("model");
  if (model.value("type", "BPE") != "BPE") {
    unsupported(path, fmt::format("the model type '{}'", model.value("type", "")));
  }
  if (model.value("byte_fallback", false))
    unsupported(path, "byte fallback (a SentencePiece model)");
  if (!document.value("normalizer", Json()).is_null()) {
    unsupported(path, "the normalizer " + document["normalizer"].dump());
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!model.value(key, Json()).is_null() && model[key] != "") unsupported(path, key);
  }
  if (!model.value("dropout", Json()).is_null()) unsupported(path, "BPE dropout");
  ignore_merges = model.value("ignore_merges", false);
  const std::string split = split_pattern_of(document.value("pre_tokenizer", Json()), path);
  if (!split.empty()) pattern.emplace(split);
  load_vocabulary(model);
  load_added_tokens(document);
  load_template(document.value("post_processor", Json()));
  find_end_of_text();
}

void Tokenizer::Model::load_vocabulary(const Json& model) {
  std::unordered_map<std::string, int32_t> by_piece;
  for (const auto& [piece, id] : model.at("vocab").items()) {
    by_piece[piece] = id.get<int32_t>();
    // A piece that is no byte string is an added token's, listed here too.
    const std::string bytes = bytes_of_byte_level(piece).value_or(piece);
    vocab[bytes] = id.get<int32_t>();
    pieces[id.get<int32_t>()] = bytes;
  }
  vocab_size = static_cast<int64_t>(by_piece.size());
  for (int byte = 0; byte < 256; ++byte) {
    const auto found = by_piece.find(byte_level_character(static_cast<uint8_t>(byte)));
    if (found == by_piece.end()) {
      throw Error(ErrorKind::kData, fmt::format("{}: the vocabulary has no piece for byte 0x{:02X}",
                                                path.string(), byte));
    }
    byte_ids[static_cast<size_t>(byte)] = found->second;
  }
  int32_t rank = 0;
  for (const Json& merge : model.at("merges")) {
    const auto [left, right] = merge_pieces(merge);
    const auto l = by_piece.find(left), r = by_piece.find(right),
               both = by_piece.find(left + right);
    if (l == by_piece.end() || r == by_piece.end() || both == by_piece.end()) {
      throw Error(ErrorKind::kData,
                  fmt::format("{}: merge {} ('{}' + '{}') is of pieces that the vocabulary lacks",
                              path.string(), rank, left, right));
    }
    merges.emplace(merge_key(l->second, r->second), Merge{rank, both->second});
    ++rank;
  }
}

void Tokenizer::Model::load_added_tokens(const Json& document) {
  for (const Json& entry : document.value("added_tokens", Json::array())) {
    const AddedToken token{entry.at("content").get<std::string>(), entry.at("id").get<int32_t>(),
                           entry.value("special", false)};
    for (const char* flag : {"lstrip", "rstrip", "single_word"}) {
      if (entry.value(flag, false)) {
        unsupported(path, fmt::format("{} of the added token '{}'", flag, token.text));
      }
    }
    if (token.text.empty()) continue;
    pieces[token.id] = token.text;
    if (token.special) special.insert(token.id);
    added.push_back(token);
  }
}

void Tokenizer::Model::load_template(const Json& processor) {
  if (processor.is_null() || processor.at("type") == "ByteLevel") return;
  if (processor.at("type") == "Sequence") {
    for (const Json& part : processor.at("processors")) load_template(part);
    return;
  }
  if (processor.at("type") != "TemplateProcessing") {
    unsupported(path, fmt::format("the post-processor {}", processor.at("type").dump()));
  }
  std::vector<int32_t>* side = &before;
  for (const Json& part : processor.at("single")) {
    if (part.contains("Sequence")) {
      side = &after;
      continue;
    }
    const auto name = part.at("SpecialToken").at("id").get<std::string>();
    for (const Json& id : processor.at("special_tokens").at(name).at("ids")) {
      side->push_back(id.get<int32_t>());
    }
  }
}

void Tokenizer::Model::find_end_of_text() {
  std::vector<std::string> names;
  const std::filesystem::path config_path = path.parent_path() / "tokenizer_config.json";
  if (std::filesystem::exists(config_path)) {
    const Json config = Json::parse(read_text_file(config_path), nullptr, false);
    if (config.is_object() && config.contains("eos_token")) {
      const Json& eos = config["eos_token"];
      if (eos.is_string()) names.push_back(eos.get<std::string>());
      if (eos.is_object()) names.push_back(eos.value("content", ""));
    }
  }
  for (const char* usual : {"<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>"}) {
    names.emplace_back(usual);
  }
  for (const std::string& name : names) {
    for (const AddedToken& token : added) {
      if (token.text == name) {
        end_of_text = token.id;
        return;
      }
    }
  }
}

void Tokenizer::Model::encode_word(std::string_view word, std::vector<int32_t>& ids) const {
  if (ignore_merges) {
    if (const auto whole = vocab.find(std::string(word)); whole != vocab.end()) {
      ids.push_back(whole->second);
      return;
    }
  }
  std::vector<int32_t> symbols;
  symbols.reserve(word.size());
  for (const char byte : word) symbols.push_back(byte_ids[static_cast<uint8_t>(byte)]);
  apply_merges(merges, symbols);
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

void Tokenizer::Model::encode_plain(std::string_view text, std::vector<int32_t>& ids) const {
  if (text.empty()) return;
  if (!pattern) {
    encode_word(text, ids);
    return;
  }
  // Most words of a text come again: their ids are looked up, not merged anew.
  std::unordered_map<std::string_view, std::pair<size_t, size_t>> seen;
  std::vector<int32_t> cached;
  pattern->split(text, [&](std::string_view word) {
    const auto [entry, is_new] = seen.try_emplace(word, cached.size(), 0);
    if (is_new) {
      encode_word(word, cached);
      entry->second.second = cached.size();
    }
    const auto [begin, end] = entry->second;
    ids.insert(ids.end(), cached.begin() + static_cast<std::ptrdiff_t>(begin),
               cached.begin() + static_cast<std::ptrdiff_t>(end));
  });
}

Tokenizer::Tokenizer(const std::filesystem::path& path) : model_(std::make_unique<Model>()) {
  model_->path = std::filesystem::is_directory(path) ? path / "tokenizer.json" : path;
  try {
    model_->load(Json::parse(read_text_file(model_->path)));
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kData, fmt::format("{} is not a valid tokenizer.json: {}",
                                              model_->path.string(), error.what()));
  } catch (const std::invalid_argument& error) {
    throw Error(ErrorKind::kData, fmt::format("{} is not a valid tokenizer.json: {}",
                                              model_->path.string(), error.what()));
  }
}

Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

std::vector<int32_t> Tokenizer::encode(std::string_view given) const {
  const std::string text = valid_utf8(given);
  std::vector<int32_t> ids;
  // Leftmost added token first, the longest of those that start there.
  std::vector<size_t> next(model_->added.size(), 0);
  size_t at = 0;
  for (;;) {
    size_t start = std::string::npos;
    const AddedToken* found = nullptr;
    for (size_t i = 0; i < next.size(); ++i) {
      const AddedToken& token = model_->added[i];
      if (next[i] != std::string::npos && (next[i] < at || at == 0)) {
        next[i] = text.find(token.text, at);
      }
      if (next[i] == std::string::npos) continue;
      if (next[i] < start || (next[i] == start && token.text.size() > found->text.size())) {
        start = next[i];
        found = &token;
      }
    }
    if (found == nullptr) break;
    model_->encode_plain(std::string_view(text).substr(at, start - at), ids);
    ids.push_back(found->id);
    at = start + found->text.size();
  }
  model_->encode_plain(std::string_view(text).substr(at), ids);
  return ids;
}

std::vector<int32_t> Tokenizer::encode_document(std::string_view text) const {
  std::vector<int32_t> ids = encode(text);
  ids.insert(ids.begin(), model_->before.begin(), model_->before.end());
  ids.insert(ids.end(), model_->after.begin(), model_->after.end());
  return ids;
}

std::string Tokenizer::token_bytes(int32_t id) const {
  const auto found = model_->pieces.find(id);
  return found == model_->pieces.end() ? "" : found->second;
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  std::string bytes;
  for (const int32_t id : ids) {
    if (!model_->special.contains(id)) bytes += token_bytes(id);
  }
  return valid_utf8(bytes);
}

int64_t Tokenizer::vocab_size() const { return model_->vocab_size; }

int64_t Tokenizer::largest_id() const {
  int32_t largest = 0;
  for (const auto& [id, piece] : model_->pieces) largest = std::max(largest, id);
  return largest;
}

std::optional<int32_t> Tokenizer::end_of_text() const { return model_->end_of_text; }

std::string StreamDecoder::add(int32_t id) {
  pending_ += tokenizer_.token_bytes(id);
  const size_t complete = complete_utf8_prefix(pending_);
  std::string text = valid_utf8(std::string_view(pending_).substr(0, complete));
  pending_.erase(0, complete);
  return text;
}

std::string StreamDecoder::finish() { return valid_utf8(std::exchange(pending_, {})); }

}  // namespace borealis
