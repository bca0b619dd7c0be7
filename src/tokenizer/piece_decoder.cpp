#include "tokenizer/piece_decoder.h"

#include <algorithm>
#include <utility>

#include "tokenizer/byte_level.h"
#include "tokenizer/byte_tokens.h"
#include "tokenizer/utf8.h"

namespace borealis {
namespace {

class Collect final : public DecoderStage {
 public:
  explicit Collect(std::string& out) : out_(out) {}
  void add(std::string_view text) override { out_ += text; }
  void finish() override {}

 private:
  std::string& out_;
};

class Stage : public DecoderStage {
 public:
  explicit Stage(DecoderStage& next) : next_(next) {}
  void finish() override { next_.finish(); }

 protected:
  DecoderStage& next_;
};

// What the library does without a decoder.
class JoinWithSpaces final : public Stage {
 public:
  using Stage::Stage;
  void add(std::string_view text) override {
    if (!first_) next_.add(" ");
    first_ = false;
    next_.add(text);
  }
  void finish() override {
    first_ = true;
    next_.finish();
  }

 private:
  bool first_ = true;
};

class ByteLevel final : public Stage {
 public:
  using Stage::Stage;
  void add(std::string_view text) override {
    bytes_ += from_byte_level(text).value_or(std::string(text));
    const size_t whole = bytes_.size() - incomplete_utf8_tail(bytes_);
    next_.add(replace_invalid_utf8(std::string_view(bytes_).substr(0, whole)));
    bytes_.erase(0, whole);
  }
  void finish() override {
    next_.add(replace_invalid_utf8(std::exchange(bytes_, "")));
    next_.finish();
  }

 private:
  std::string bytes_;
};

// A run of byte tokens is its characters or, if they are not UTF-8, a U+FFFD for each of them:
// nothing of a run is certain before its end.
class ByteFallback final : public Stage {
 public:
  using Stage::Stage;
  void add(std::string_view text) override {
    if (const auto byte = byte_of_token(text)) {
      run_ += static_cast<char>(*byte);
      return;
    }
    end_run();
    next_.add(text);
  }
  void finish() override {
    end_run();
    next_.finish();
  }

 private:
  void end_run() {
    if (run_.empty()) return;
    if (is_valid_utf8(run_)) {
      next_.add(run_);
    } else {
      for (size_t i = 0; i < run_.size(); ++i) next_.add(kReplacementCharacter);
    }
    run_.clear();
  }
  std::string run_;
};

class Replace final : public Stage {
 public:
  Replace(DecoderStage& next, const DecoderStep& step, bool fused)
      : Stage(next), pattern_(step.pattern), content_(step.content), fused_(fused) {}
  void add(std::string_view text) override {
    waiting_ += text;
    // In a fused token the end may be the start of a match.
    const std::string ready = replaced(fused_ ? match_start() : waiting_.size());
    next_.add(ready);
  }
  void finish() override {
    next_.add(replaced(waiting_.size()));
    next_.finish();
  }

 private:
  // Takes matches, and what is in front of `limit`, out of waiting_.
  std::string replaced(size_t limit) {
    std::string out;
    size_t done = 0;
    for (size_t found = waiting_.find(pattern_); found != std::string::npos;
         found = waiting_.find(pattern_, done)) {
      out.append(waiting_, done, found - done);
      out += content_;
      done = found + pattern_.size();
    }
    if (limit > done) {
      out.append(waiting_, done, limit - done);
      done = limit;
    }
    waiting_.erase(0, done);
    return out;
  }
  // Where the longest end of waiting_ begins that a pattern could begin with.
  size_t match_start() const {
    const std::string_view waiting = waiting_;
    const size_t longest = std::min(waiting.size(), pattern_.size() - 1);
    for (size_t length = longest; length > 0; --length) {
      if (pattern_.starts_with(waiting.substr(waiting.size() - length))) {
        return waiting.size() - length;
      }
    }
    return waiting.size();
  }

  std::string pattern_;
  std::string content_;
  bool fused_;
  std::string waiting_;
};

// Bytes of up to `most` times `character` at the start of the text.
size_t leading(std::string_view text, std::string_view character, size_t most) {
  size_t bytes = 0;
  for (; most > 0 && text.substr(bytes).starts_with(character); --most) bytes += character.size();
  return bytes;
}

size_t trailing(std::string_view text, std::string_view character, size_t most) {
  size_t bytes = 0;
  for (; most > 0 && text.substr(0, text.size() - bytes).ends_with(character); --most) {
    bytes += character.size();
  }
  return bytes;
}

class Strip final : public Stage {
 public:
  Strip(DecoderStage& next, const DecoderStep& step, bool fused)
      : Stage(next), step_(step), fused_(fused), left_(step.strip_left) {}
  void add(std::string_view text) override {
    text.remove_prefix(strip_left(text));
    held_ += text;
    // What could be stripped at the end waits for it.
    const size_t keep = fused_ ? trailing(held_, step_.pattern, step_.strip_right) : 0;
    if (!fused_) held_.resize(held_.size() - trailing(held_, step_.pattern, step_.strip_right));
    next_.add(std::string_view(held_).substr(0, held_.size() - keep));
    held_.erase(0, held_.size() - keep);
    if (!fused_) left_ = step_.strip_left;
  }
  void finish() override {
    held_.clear();
    left_ = step_.strip_left;
    next_.finish();
  }

 private:
  size_t strip_left(std::string_view text) {
    const size_t bytes = leading(text, step_.pattern, left_);
    left_ -= bytes / step_.pattern.size();
    if (bytes < text.size()) left_ = 0;
    return bytes;
  }

  DecoderStep step_;
  bool fused_;
  size_t left_;
  std::string held_;
};

class Metaspace final : public Stage {
 public:
  Metaspace(DecoderStage& next, const DecoderStep& step, bool fused)
      : Stage(next), character_(step.pattern), strip_first_(step.strip_first), fused_(fused) {}
  void add(std::string_view text) override {
    std::string out;
    for (size_t place = 0; place < text.size();) {
      if (!text.substr(place).starts_with(character_)) {
        out += text[place++];
        continue;
      }
      if (!first_ || !strip_first_) out += ' ';
      place += character_.size();
    }
    if (!fused_) first_ = false;
    next_.add(out);
  }
  void finish() override {
    first_ = true;
    next_.finish();
  }

 private:
  std::string character_;
  bool strip_first_;
  bool fused_;
  bool first_ = true;
};

std::unique_ptr<DecoderStage> make_stage(const DecoderStep& step, bool fused, DecoderStage& next) {
  switch (step.kind) {
    case DecoderStep::Kind::kByteLevel:
      return std::make_unique<ByteLevel>(next);
    case DecoderStep::Kind::kReplace:
      return std::make_unique<Replace>(next, step, fused);
    case DecoderStep::Kind::kByteFallback:
      return std::make_unique<ByteFallback>(next);
    case DecoderStep::Kind::kFuse:
      return nullptr;  // the stages that follow know
    case DecoderStep::Kind::kStrip:
      return std::make_unique<Strip>(next, step, fused);
    case DecoderStep::Kind::kMetaspace:
      return std::make_unique<Metaspace>(next, step, fused);
  }
  return nullptr;
}

bool fuses(const DecoderStep& step) {
  return step.kind == DecoderStep::Kind::kFuse || step.kind == DecoderStep::Kind::kByteLevel;
}

}  // namespace

PieceDecoder::PieceDecoder(const std::vector<DecoderStep>& steps)
    : text_(std::make_unique<std::string>()) {
  stages_.push_back(std::make_unique<Collect>(*text_));
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const bool fused = std::any_of(step + 1, steps.rend(), fuses);
    if (auto stage = make_stage(*step, fused, *stages_.back())) stages_.push_back(std::move(stage));
  }
  if (steps.empty()) stages_.push_back(std::make_unique<JoinWithSpaces>(*stages_.back()));
}

std::string PieceDecoder::add(std::string_view token) {
  stages_.back()->add(token);
  return std::exchange(*text_, "");
}

std::string PieceDecoder::finish() {
  stages_.back()->finish();
  return std::exchange(*text_, "");
}

}  // namespace borealis
