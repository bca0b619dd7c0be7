#include "tokenizer/number_engine.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/printable.h"

namespace borealis {
namespace {

constexpr std::string_view kBetweenNumbers = " \t\r\n\f\v";
constexpr size_t kShownBytes = 40;

}  // namespace

class NumberEngine::Encoder final : public TextEncoder {
 public:
  explicit Encoder(const NumberEngine& engine) : engine_(engine) {}

  void encode(std::string_view text, std::vector<int32_t>& ids) override {
    for (;;) {
      text.remove_prefix(std::min(text.find_first_not_of(kBetweenNumbers), text.size()));
      if (text.empty()) return;
      const std::string_view word = text.substr(0, text.find_first_of(kBetweenNumbers));
      const auto id = engine_.token_id(word);
      if (!id) {
        throw Error(ErrorKind::kData,
                    fmt::format("\"{}\" in a text is not a token id of 0 to {}, as NullTokenizer "
                                "reads them",
                                printable(word.substr(0, kShownBytes)), engine_.size_),
                    "give numbers with white space between them, or a larger --vocab-size");
      }
      ids.push_back(*id);
      text.remove_prefix(word.size());
    }
  }

 private:
  const NumberEngine& engine_;
};

class NumberEngine::Decoder final : public TextDecoder {
 public:
  Decoder(const NumberEngine& engine, bool skip_special)
      : engine_(engine), skip_special_(skip_special) {}

  std::string add(int32_t id) override {
    if (id < 0 || id > engine_.size_ || (skip_special_ && engine_.is_special(id))) return "";
    return fmt::format("{}{}", std::exchange(first_, false) ? "" : " ", id);
  }
  std::string finish() override {
    first_ = true;
    return "";
  }

 private:
  const NumberEngine& engine_;
  bool skip_special_;
  bool first_ = true;
};

NumberEngine::NumberEngine(int64_t size) : size_(size) {
  CHECK(size > 0 && size < std::numeric_limits<int32_t>::max());
}

std::optional<int32_t> NumberEngine::token_id(std::string_view piece) const {
  int32_t id = -1;
  const auto [end, fault] = std::from_chars(piece.data(), piece.data() + piece.size(), id);
  if (fault != std::errc() || end != piece.data() + piece.size() || id < 0 || id > size_) {
    return std::nullopt;
  }
  return id;
}

std::unique_ptr<TextEncoder> NumberEngine::make_encoder() const {
  return std::make_unique<Encoder>(*this);
}

std::unique_ptr<TextDecoder> NumberEngine::make_decoder(bool skip_special) const {
  return std::make_unique<Decoder>(*this, skip_special);
}

}  // namespace borealis
