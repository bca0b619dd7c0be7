// What a kind of tokenizer offers behind the class Tokenizer: the tokenizers of tokenizer.json
// (bpe_engine.h), SentencePiece models, numbers as text.
//
// An engine is constant once made and may be asked by any number of threads; what changes while a
// text is encoded or ids are decoded lives in the objects it makes, one a thread or stream. They
// refer to their engine, which must outlive them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace borealis {

class TextEncoder {
 public:
  virtual ~TextEncoder() = default;
  // Appends the ids of `text`, which is valid UTF-8, without what surrounds a document.
  virtual void encode(std::string_view text, std::vector<int32_t>& ids) = 0;
};

class TextDecoder {
 public:
  virtual ~TextDecoder() = default;
  // Takes the next id, any number, and gives what is certain by now: whole characters, and nothing
  // that a later id could change (an unfinished run of byte tokens, say).
  virtual std::string add(int32_t id) = 0;
  // Ends the text and gives the rest of it. The decoder may start another text then.
  virtual std::string finish() = 0;
};

class TokenizerEngine {
 public:
  virtual ~TokenizerEngine() = default;

  virtual int64_t vocab_size() const = 0;  // highest id + 1
  virtual std::optional<int32_t> end_of_text() const = 0;
  virtual std::optional<int32_t> token_id(std::string_view piece) const = 0;
  virtual bool is_special(int32_t id) const = 0;  // false for any other number

  // What stands around the ids of every document, the end-of-text token apart.
  virtual std::span<const int32_t> document_prefix() const { return {}; }
  virtual std::span<const int32_t> document_suffix() const { return {}; }

  virtual std::unique_ptr<TextEncoder> make_encoder() const = 0;
  // Special tokens become nothing or, with skip_special false, their names.
  virtual std::unique_ptr<TextDecoder> make_decoder(bool skip_special) const = 0;
};

}  // namespace borealis
