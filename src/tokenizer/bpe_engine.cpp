#include "tokenizer/bpe_engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "tokenizer/piece_decoder.h"
#include "tokenizer/word_cache.h"

namespace borealis {
namespace {

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
  explicit Encoder(const BpeEngine& engine) : engine_(engine), steps_(engine.steps_.size()) {}
  void encode(std::string_view text, std::vector<int32_t>& ids) override;

 private:
  struct StepState {  // one a step: steps nest
    WordSplitter::Matcher matcher;
    std::string text;
  };
  // `at_start`: the text begins where that of encode() does.
  void encode_text(std::string_view text, bool at_start, size_t step, std::vector<int32_t>& ids);
  std::string_view prepared(const WordStep& step, std::string_view text, bool at_start,
                            std::string& buffer) const;
  void encode_word(std::string_view word, std::vector<int32_t>& ids);
  void encode_part(std::string_view part, std::vector<int32_t>& ids);

  const BpeEngine& engine_;
  std::vector<StepState> steps_;
  Normalizer::Buffers normalizer_buffers_;
  BpeModel::Scratch scratch_;
  std::vector<int32_t> new_ids_;
  WordCache words_;
};

class BpeEngine::Decoder final : public TextDecoder {
 public:
  Decoder(const BpeEngine& engine, bool skip_special)
      : engine_(engine), skip_special_(skip_special), decoder_(engine.definition_.decoder) {}
  std::string add(int32_t id) override {
    const std::string_view name = engine_.decoded_name(id);
    if (name.empty() || (skip_special_ && engine_.skipped_[static_cast<size_t>(id)])) return "";
    return decoder_.add(name);
  }
  std::string finish() override { return decoder_.finish(); }

 private:
  const BpeEngine& engine_;
  bool skip_special_;
  PieceDecoder decoder_;
};

BpeEngine::BpeEngine(TokenizerDefinition definition)
    : definition_(std::move(definition)),
      special_(definition_.pieces.size(), false),
      model_(definition_),
      normalizer_(definition_.normalizer),
      raw_tokens_(select_tokens(definition_.added_tokens, false)),
      normalized_tokens_(normalized_tokens()) {
  for (const AddedToken& token : definition_.added_tokens) {
    if (token.special) special_[static_cast<size_t>(token.id)] = true;
  }
  find_decoded_names();
  for (const WordStep& step : definition_.steps) {
    const bool prepends = step.prefix_scheme != WordStep::Prefix::kNever;
    if (step.pattern.empty() && step.space.empty() && !prepends) continue;  // ByteLevel's, often
    Step& own = steps_.emplace_back(Step{step, std::nullopt});
    if (step.pattern.empty()) continue;
    own.splitter.emplace(step.pattern, step.behavior, step.invert, step.literal);
  }
  end_of_text_id_ = find_end_of_text();
}

// They are searched in normalized text, so they are normalized themselves.
std::vector<AddedToken> BpeEngine::normalized_tokens() const {
  std::vector<AddedToken> tokens = select_tokens(definition_.added_tokens, true);
  Normalizer::Buffers buffers;
  for (AddedToken& token : tokens) {
    token.content = std::string(normalizer_.apply(token.content, buffers));
  }
  return tokens;
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

// As in the tokenizers library: added tokens that are searched in normalized text are decoded from
// it, and then only names of special tokens are skipped.
void BpeEngine::find_decoded_names() {
  std::unordered_set<std::string_view> special_names;
  for (const AddedToken& token : definition_.added_tokens) {
    if (token.special) special_names.insert(token.content);
  }
  skipped_ = special_;
  for (const AddedToken& token : normalized_tokens()) {
    skipped_[static_cast<size_t>(token.id)] = special_names.contains(token.content);
    decoded_names_[token.id] = token.content;
  }
}

std::string_view BpeEngine::decoded_name(int32_t id) const {
  if (id < 0 || id >= vocab_size()) return {};
  const auto own = decoded_names_.find(id);
  return own == decoded_names_.end() ? definition_.pieces[static_cast<size_t>(id)] : own->second;
}

std::unique_ptr<TextEncoder> BpeEngine::make_encoder() const {
  return std::make_unique<Encoder>(*this);
}

std::unique_ptr<TextDecoder> BpeEngine::make_decoder(bool skip_special) const {
  return std::make_unique<Decoder>(*this, skip_special);
}

void BpeEngine::Encoder::encode(std::string_view text, std::vector<int32_t>& ids) {
  const auto put_id = [&ids](int32_t id) { ids.push_back(id); };
  engine_.raw_tokens_.split(
      text,
      [&](std::string_view raw) {
        const bool at_start = raw.data() == text.data();
        const std::string_view part = engine_.normalizer_.apply(raw, normalizer_buffers_);
        engine_.normalized_tokens_.split(
            part,
            [&](std::string_view piece) {
              encode_text(piece, at_start && piece.data() == part.data(), 0, ids);
            },
            put_id);
      },
      put_id);
}

// The text as the step cuts it, in `buffer` if it differs.
std::string_view BpeEngine::Encoder::prepared(const WordStep& step, std::string_view text,
                                              bool at_start, std::string& buffer) const {
  const bool may_prepend = step.prefix_scheme == WordStep::Prefix::kAlways ||
                           (step.prefix_scheme == WordStep::Prefix::kFirst && at_start);
  // A space that becomes the prefix is one already.
  const bool has_prefix = text.starts_with(step.prefix) ||
                          (!step.space.empty() && step.space == step.prefix && text[0] == ' ');
  const bool prepend = may_prepend && !has_prefix;
  if (!prepend && step.space.empty()) return text;
  buffer.clear();
  if (prepend) buffer += step.prefix;
  if (step.space.empty()) return buffer += text;
  for (const char c : text) {
    if (c == ' ') {
      buffer += step.space;
    } else {
      buffer += c;
    }
  }
  return buffer;
}

void BpeEngine::Encoder::encode_text(std::string_view text, bool at_start, size_t step,
                                     std::vector<int32_t>& ids) {
  if (step == steps_.size()) {
    encode_word(text, ids);
    return;
  }
  const Step& here = engine_.steps_[step];
  text = prepared(here.definition, text, at_start, steps_[step].text);
  if (!here.splitter) {
    encode_text(text, at_start, step + 1, ids);
    return;
  }
  here.splitter->split(text, steps_[step].matcher, [&](std::string_view word) {
    encode_text(word, at_start && word.data() == text.data(), step + 1, ids);
  });
}

void BpeEngine::Encoder::encode_word(std::string_view word, std::vector<int32_t>& ids) {
  if (word.size() > WordCache::kLongestWord) {
    if (const int32_t whole = engine_.model_.whole_word(word); whole != PieceTable::kNone) {
      ids.push_back(whole);
      return;
    }
  }
  engine_.model_.for_each_part(word, [&](std::string_view part) { encode_part(part, ids); });
}

void BpeEngine::Encoder::encode_part(std::string_view part, std::vector<int32_t>& ids) {
  if (part.size() > BpeModel::kLongestWord) {
    throw Error(ErrorKind::kData,
                fmt::format("a text has a word of {} bytes; at most {} can be encoded", part.size(),
                            BpeModel::kLongestWord),
                "cut the text into smaller documents");
  }
  if (part.size() > WordCache::kLongestWord) {
    engine_.model_.encode_word(part, scratch_, ids);
    return;
  }
  if (const auto known = words_.find(part)) {
    ids.insert(ids.end(), known->begin(), known->end());
    return;
  }
  new_ids_.clear();
  if (const int32_t whole = engine_.model_.whole_word(part); whole != PieceTable::kNone) {
    new_ids_.push_back(whole);
  } else {
    engine_.model_.encode_word(part, scratch_, new_ids_);
  }
  words_.insert(part, new_ids_);
  ids.insert(ids.end(), new_ids_.begin(), new_ids_.end());
}

}  // namespace borealis
