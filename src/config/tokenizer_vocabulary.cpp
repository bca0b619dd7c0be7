#include "config/tokenizer_vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "base/json_excerpt.h"
#include "config/sentencepiece_model.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kLargestId = INT32_MAX;  // that token files can hold

// Reads a tokenizer.json as a stream (Gemma's has 17 MB and half a million merges), counting the
// entries of model.vocab and noting the ids of added_tokens; stops once it has seen both.
class VocabularyReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  int64_t vocab_size = 0;
  int64_t largest_added_id = -1;
  bool has_vocab = false;
  std::string fault;

  bool finished() const { return has_vocab && has_added_; }

  bool null() override { return leaf(); }
  bool boolean(bool) override { return leaf(); }
  bool number_integer(number_integer_t value) override { return number(value); }
  bool number_unsigned(number_unsigned_t value) override {
    return number(static_cast<int64_t>(std::min<number_unsigned_t>(value, INT64_MAX)));
  }
  bool number_float(number_float_t, const string_t&) override { return leaf(); }
  bool string(string_t&) override { return leaf(); }
  bool binary(binary_t&) override { return leaf(); }
  bool start_object(size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool start_array(size_t) override { return open(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    if (depth_ <= kVocabDepth) keys_[static_cast<size_t>(depth_)] = name;
    if (in_vocab() && depth_ == kVocabDepth) ++vocab_size;  // {"piece": id, ...}
    return true;
  }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    fault = fmt::format("it is not valid JSON (at byte {})", position);
    return false;
  }

 private:
  // The root object is depth 1; model and added_tokens are opened at 2, model.vocab at 3.
  static constexpr int kVocabDepth = 3;

  bool in_vocab() const {
    return depth_ >= kVocabDepth && keys_[1] == "model" && keys_[2] == "vocab";
  }
  bool leaf() const { return true; }

  bool number(int64_t value) {
    if (depth_ == 3 && keys_[1] == "added_tokens" && keys_[3] == "id") {
      largest_added_id = std::max(largest_added_id, value);
      if (value > kLargestId) fault = fmt::format("an added token has the id {}", value);
    }
    return fault.empty();
  }

  bool open() {
    if (in_vocab() && depth_ == kVocabDepth) ++vocab_size;  // [["piece", score], ...]
    ++depth_;
    if (depth_ == kVocabDepth && keys_[1] == "model" && keys_[2] == "vocab") has_vocab = true;
    return true;
  }

  bool close() {
    const bool left_vocab = depth_ == kVocabDepth && in_vocab();
    const bool left_added = depth_ == 2 && keys_[1] == "added_tokens";
    --depth_;
    if (left_added) has_added_ = true;
    return !((left_vocab || left_added) && finished());
  }

  int depth_ = 0;
  bool has_added_ = false;
  std::array<std::string, kVocabDepth + 1> keys_;  // the current key at each depth
};

TokenizerVocabulary of_json(const fs::path& file) {
  const MappedFile mapped(file);
  const auto* text = reinterpret_cast<const char*>(mapped.bytes().data());
  VocabularyReader reader;
  nlohmann::json::sax_parse(text, text + mapped.bytes().size(), &reader);
  std::string fault = reader.fault;
  if (fault.empty() && (!reader.has_vocab || reader.vocab_size == 0)) {
    fault = "it has no model.vocab";
  }
  if (!fault.empty()) {
    throw Error(ErrorKind::kData,
                fmt::format("{} cannot be read as a tokenizer.json: {}", file.string(), fault),
                "name a Hugging Face tokenizer.json, a SentencePiece model, or a folder with one");
  }
  return {reader.vocab_size, reader.largest_added_id};
}

TokenizerVocabulary of_gpt2(const fs::path& file) {
  const auto pieces = nlohmann::json::parse(read_json_text(file), nullptr, false);
  if (!pieces.is_object() || pieces.empty()) {
    throw Error(ErrorKind::kData,
                fmt::format("{} is not a JSON object of pieces and their ids", file.string()),
                "give GPT-2's vocab.json");
  }
  return {static_cast<int64_t>(pieces.size())};
}

// Of the tokens that a tokenizer_config.json adds, if it is there and readable: opening the
// tokenizer says what is wrong with it.
int64_t largest_configured_id(const fs::path& config_file) {
  std::error_code ignored;
  if (!fs::is_regular_file(config_file, ignored)) return -1;
  const auto config = nlohmann::json::parse(read_json_text(config_file), nullptr, false);
  if (!config.is_object() || !config.contains("added_tokens_decoder")) return -1;
  int64_t largest = -1;
  const nlohmann::json& tokens = config["added_tokens_decoder"];
  for (const auto& token : tokens.items()) {
    int64_t id = -1;
    const std::string& key = token.key();
    std::from_chars(key.data(), key.data() + key.size(), id);
    if (id <= kLargestId) largest = std::max(largest, id);
  }
  return largest;
}

TokenizerVocabulary of_sentencepiece(const TokenizerSource& source) {
  const SentencePieceFacts facts = read_sentencepiece_facts(source.path);
  auto size = static_cast<int64_t>(facts.pieces.size());
  if (source.type == TokenizerType::kSentencePiece) {
    for (const SentencePieceToken& token : megatron_tokens(facts)) {
      size = std::max(size, int64_t{token.id} + 1);
    }
  }
  if (source.type != TokenizerType::kHuggingFace) return {size};
  return {size,
          largest_configured_id(fs::path(source.path).parent_path() / "tokenizer_config.json")};
}

}  // namespace

TokenizerVocabulary tokenizer_vocabulary(const TokenizerSource& source) {
  switch (source.format()) {
    case TokenizerFormat::kNumbers:
      return {source.size + 1};
    case TokenizerFormat::kGpt2:
      return of_gpt2(source.path);
    case TokenizerFormat::kSentencePiece:
      return of_sentencepiece(source);
    case TokenizerFormat::kJson:
      break;
  }
  return of_json(source.path);
}

}  // namespace borealis
