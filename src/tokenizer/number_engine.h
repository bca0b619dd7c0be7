// Megatron's NullTokenizer: a text is token ids, written as numbers with white space between them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "tokenizer/tokenizer_engine.h"

namespace borealis {

class NumberEngine final : public TokenizerEngine {
 public:
  // Ids 0 .. size - 1 are text, `size` ends a document.
  explicit NumberEngine(int64_t size);

  int64_t vocab_size() const override { return size_ + 1; }
  std::optional<int32_t> end_of_text() const override { return static_cast<int32_t>(size_); }
  std::optional<int32_t> token_id(std::string_view piece) const override;
  bool is_special(int32_t id) const override { return id == size_; }
  // Encoding throws Error(kData) for a word that is not such a number.
  std::unique_ptr<TextEncoder> make_encoder() const override;
  std::unique_ptr<TextDecoder> make_decoder(bool skip_special) const override;

 private:
  class Encoder;
  class Decoder;
  int64_t size_;
};

}  // namespace borealis
