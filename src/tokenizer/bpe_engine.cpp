#include "tokenizer/bpe_engine.h"

#include <algorithm>
#include <functional>
#include <unordered_map>
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

// Remembers the ids of words it has seen.
class BpeEngine::Encoder final : public TextEncoder {
 public:
  explicit Encoder(const BpeEngine& engine) : engine_(engine), matchers_(engine.steps_.size()) {}
  void encode(std::string_view text, std::vector<int32_t>& ids) override;

 private:
  struct WordHash {
    using is_transparent = void;
    size_t operator()(std::string_view word) const { return std::hash<std::string_view>()(word); }
  };
  struct IdRange {
    uint32_t begin = 0;
    uint32_t end = 0;
  };
  void encode_text(std::string_view text, size_t step, std::vector<int32_t>& ids);
  void encode_word(std::string_view word, std::vector<int32_t>& ids);

  const BpeEngine& engine_;
  std::vector<WordSplitter::Matcher> matchers_;  // one a step: steps nest
  BpeModel::Scratch scratch_;
  std::unordered_map<std::string, IdRange, WordHash, std::equal_to<>> words_;
  std::vector<int32_t> word_ids_;  // the ranges of words_ point here
};

class BpeEngine::Decoder final : public TextDecoder {
 public:
  Decoder(const BpeEngine& engine, bool skip_special)
      : engine_(engine), skip_special_(skip_special) {}
  std::string add(int32_t id) override;
  std::string finish() override { return replace_invalid_utf8(std::exchange(pending_, "")); }

 private:
  const BpeEngine& engine_;
  bool skip_special_;
  std::string pending_;
};

BpeEngine::BpeEngine(TokenizerDefinition definition)
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

std::optional<int32_t> BpeEngine::token_id(std::string_view piece) const {
  const auto found = std::ranges::find(definition_.pieces, piece);
  if (piece.empty() || found == definition_.pieces.end()) return std::nullopt;
  return static_cast<int32_t>(found - definition_.pieces.begin());
}

std::optional<int32_t> BpeEngine::find_end_of_text() const {
  if (definition_.end_of_text) return token_id(*definition_.end_of_text);
  for (const char* name : {"<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>"}) {
    for (const AddedToken& token : definition_.added_tokens) {
      if (token.content == name) return token.id;
    }
  }
  return std::nullopt;
}

bool BpeEngine::is_special(int32_t id) const {
  return id >= 0 && id < vocab_size() && special_[static_cast<size_t>(id)];
}

std::string_view BpeEngine::token_bytes(int32_t id) const {
  if (id < 0 || id >= vocab_size()) return {};
  return bytes_[static_cast<size_t>(id)];
}

std::unique_ptr<TextEncoder> BpeEngine::make_encoder() const {
  return std::make_unique<Encoder>(*this);
}

std::unique_ptr<TextDecoder> BpeEngine::make_decoder(bool skip_special) const {
  return std::make_unique<Decoder>(*this, skip_special);
}

void BpeEngine::Encoder::encode(std::string_view text, std::vector<int32_t>& ids) {
  const auto put_id = [&ids](int32_t id) { ids.push_back(id); };
  const auto put_text = [&](std::string_view part) { encode_text(part, 0, ids); };
  engine_.raw_tokens_.split(
      text,
      [&](std::string_view part) { engine_.normalized_tokens_.split(part, put_text, put_id); },
      put_id);
}

void BpeEngine::Encoder::encode_text(std::string_view text, size_t step,
                                     std::vector<int32_t>& ids) {
  if (step == engine_.steps_.size()) {
    encode_word(text, ids);
    return;
  }
  const Step& here = engine_.steps_[step];
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

void BpeEngine::Encoder::encode_word(std::string_view word, std::vector<int32_t>& ids) {
  if (word.size() > kLongestCachedWord) {
    engine_.model_.encode_word(word, scratch_, ids);
    return;
  }
  auto known = words_.find(word);
  if (known == words_.end()) {
    if (words_.size() == kCachedWords) {
      words_.clear();
      word_ids_.clear();
    }
    const auto begin = static_cast<uint32_t>(word_ids_.size());
    engine_.model_.encode_word(word, scratch_, word_ids_);
    const auto end = static_cast<uint32_t>(word_ids_.size());
    known = words_.emplace(std::string(word), IdRange{begin, end}).first;
  }
  const auto [begin, end] = known->second;
  ids.insert(ids.end(), word_ids_.begin() + begin, word_ids_.begin() + end);
}

std::string BpeEngine::Decoder::add(int32_t id) {
  if (skip_special_ && engine_.is_special(id)) return "";
  pending_ += engine_.token_bytes(id);
  const size_t tail = incomplete_utf8_tail(pending_);
  std::string text =
      replace_invalid_utf8(std::string_view(pending_).substr(0, pending_.size() - tail));
  pending_.erase(0, pending_.size() - tail);
  return text;
}

}  // namespace borealis
