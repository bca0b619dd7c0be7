#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <utility>

#include "tokenizer/byte_level.h"
#include "tokenizer/utf8.h"

namespace borealis {
namespace {

constexpr size_t kLongestCachedWord = 64;
constexpr size_t kCachedWords = 1 << 17;

std::vector<AddedToken> select_tokens(const std::vector<AddedToken>& tokens, bool normalized) {
  std::vector<AddedToken> selected;
  std::ranges::copy_if(tokens, std::back_inserter(selected), [normalized](const AddedToken& token) {
    return token.normalized == normalized;
  });
  return selected;
}

}  // namespace

Tokenizer::Tokenizer(TokenizerDefinition definition)
    : definition_(std::move(definition)),
      model_(definition_),
      raw_tokens_(select_tokens(definition_.added_tokens, false)),
      normalized_tokens_(select_tokens(definition_.added_tokens, true)) {
  special_.resize(definition_.pieces.size(), false);
  for (const std::string& piece : definition_.pieces) {
    bytes_.push_back(from_byte_level(piece).value_or(piece));
  }
  for (const AddedToken& token : definition_.added_tokens) {
    bytes_[static_cast<size_t>(token.id)] = token.content;
    special_[static_cast<size_t>(token.id)] = token.special;
  }
  for (const WordStep& step : definition_.steps) {
    Step& own = steps_.emplace_back();
    own.add_prefix_space = step.add_prefix_space;
    if (!step.pattern.empty()) own.splitter.emplace(step.pattern, step.drop_gaps);
  }
  end_of_text_id_ = find_end_of_text();
}

Tokenizer::Tokenizer(const std::filesystem::path& path) : Tokenizer(read_tokenizer(path)) {}

int64_t Tokenizer::vocab_size() const { return static_cast<int64_t>(bytes_.size()); }

std::optional<int32_t> Tokenizer::token_id(std::string_view piece) const {
  const auto found = std::ranges::find(definition_.pieces, piece);
  if (piece.empty() || found == definition_.pieces.end()) return std::nullopt;
  return static_cast<int32_t>(found - definition_.pieces.begin());
}

std::optional<int32_t> Tokenizer::find_end_of_text() const {
  if (definition_.end_of_text) return token_id(*definition_.end_of_text);
  for (const char* name : {"<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>"}) {
    for (const AddedToken& token : definition_.added_tokens) {
      if (token.content == name) return token.id;
    }
  }
  return std::nullopt;
}

bool Tokenizer::is_special(int32_t id) const {
  return id >= 0 && id < vocab_size() && special_[static_cast<size_t>(id)];
}

std::vector<int32_t> Tokenizer::encode(std::string_view text) const {
  std::vector<int32_t> ids;
  TokenEncoder(*this).encode(text, ids);
  return ids;
}

std::vector<int32_t> Tokenizer::encode_document(std::string_view text) const {
  std::vector<int32_t> ids;
  TokenEncoder(*this).encode_document(text, ids);
  return ids;
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  if (id < 0 || id >= vocab_size()) return {};
  return bytes_[static_cast<size_t>(id)];
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  StreamDecoder decoder(*this, skip_special);
  std::string text;
  for (const int32_t id : ids) text += decoder.add(id);
  return text + decoder.finish();
}

TokenEncoder::TokenEncoder(const Tokenizer& tokenizer)
    : tokenizer_(tokenizer), matchers_(tokenizer.steps_.size()) {}

void TokenEncoder::encode_document(std::string_view text, std::vector<int32_t>& ids) {
  const TokenizerDefinition& definition = tokenizer_.definition_;
  ids.insert(ids.end(), definition.prefix_ids.begin(), definition.prefix_ids.end());
  encode(text, ids);
  ids.insert(ids.end(), definition.suffix_ids.begin(), definition.suffix_ids.end());
}

void TokenEncoder::encode(std::string_view text, std::vector<int32_t>& ids) {
  std::string repaired;
  if (!is_valid_utf8(text)) text = repaired = replace_invalid_utf8(text);
  const auto put_id = [&ids](int32_t id) { ids.push_back(id); };
  const auto put_text = [&](std::string_view part) { encode_text(part, 0, ids); };
  tokenizer_.raw_tokens_.split(
      text,
      [&](std::string_view part) { tokenizer_.normalized_tokens_.split(part, put_text, put_id); },
      put_id);
}

void TokenEncoder::encode_text(std::string_view text, size_t step, std::vector<int32_t>& ids) {
  if (step == tokenizer_.steps_.size()) {
    encode_word(text, ids);
    return;
  }
  const Tokenizer::Step& here = tokenizer_.steps_[step];
  std::string with_space;
  if (here.add_prefix_space && !text.starts_with(' ')) {
    with_space = " ";
    text = with_space += text;
  }
  if (!here.splitter) {
    encode_text(text, step + 1, ids);
    return;
  }
  here.splitter->split(text, matchers_[step],
                       [&](std::string_view word) { encode_text(word, step + 1, ids); });
}

void TokenEncoder::encode_word(std::string_view word, std::vector<int32_t>& ids) {
  if (word.size() > kLongestCachedWord) {
    tokenizer_.model_.encode_word(word, scratch_, ids);
    return;
  }
  auto known = words_.find(word);
  if (known == words_.end()) {
    if (words_.size() == kCachedWords) {
      words_.clear();
      word_ids_.clear();
    }
    const auto begin = static_cast<uint32_t>(word_ids_.size());
    tokenizer_.model_.encode_word(word, scratch_, word_ids_);
    const auto end = static_cast<uint32_t>(word_ids_.size());
    known = words_.emplace(std::string(word), IdRange{begin, end}).first;
  }
  const auto [begin, end] = known->second;
  ids.insert(ids.end(), word_ids_.begin() + begin, word_ids_.begin() + end);
}

std::string StreamDecoder::add(int32_t id) {
  if (skip_special_ && tokenizer_.is_special(id)) return "";
  pending_ += tokenizer_.token_bytes(id);
  const size_t tail = incomplete_utf8_tail(pending_);
  std::string text =
      replace_invalid_utf8(std::string_view(pending_).substr(0, pending_.size() - tail));
  pending_.erase(0, pending_.size() - tail);
  return text;
}

std::string StreamDecoder::finish() { return replace_invalid_utf8(std::exchange(pending_, "")); }

}  // namespace borealis
