// Any bytes as a tokenizer.json. What is read must encode texts to ids of its vocabulary, decode
// them and any others to UTF-8, at once and token by token alike, and cut no word where a merge
// would be.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

namespace borealis {
namespace {

constexpr const char* kText =
    "Hello world, don't 'LL  12345\n\n\t caf\u00e9 e\u0301 \u6771\u4eac\u2581\u2581 <s>x</s> "
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab "
    "\U0001F44D\u00a0<0x41>";
constexpr size_t kMostText = 2048;

void check_decoding(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  for (const bool skip_special : {true, false}) {
    const std::string text = tokenizer.decode(ids, skip_special);
    CHECK(is_valid_utf8(text));
    StreamDecoder stream(tokenizer, skip_special);
    std::string streamed;
    for (const int32_t id : ids) {
      const std::string part = stream.add(id);
      CHECK(is_valid_utf8(part));
      streamed += part;
    }
    CHECK(streamed + stream.finish() == text);
  }
}

void encode(const Tokenizer& tokenizer, std::string_view text) {
  TokenEncoder encoder(tokenizer);
  std::vector<int32_t> cold;
  std::vector<int32_t> warm;
  try {
    encoder.encode(text, cold);
    encoder.encode(text, warm);
  } catch (const Error&) {  // an expression that gives up
    return;
  }
  CHECK(cold == warm);
  for (const int32_t id : cold) CHECK(id >= 0 && id < tokenizer.vocab_size());
  check_decoding(tokenizer, cold);
}

void check_parts(const TokenizerDefinition& definition) {
  if (definition.ignore_merges) return;
  const BpeModel model(definition);
  BpeModel::Scratch scratch;
  std::vector<int32_t> whole;
  std::vector<int32_t> parts;
  model.encode_word(kText, scratch, whole);
  model.for_each_part(kText,
                      [&](std::string_view part) { model.encode_word(part, scratch, parts); });
  CHECK(whole == parts);
}

void read(std::string_view file) {
  try {
    const TokenizerDefinition definition = parse_tokenizer_json(file, "fuzz.json");
    check_parts(definition);
    const Tokenizer tokenizer(definition);
    encode(tokenizer, kText);
    encode(tokenizer, file.substr(0, kMostText));
    std::vector<int32_t> ids = {-1, 0, 1 << 30};
    for (const char byte : file.substr(0, kMostText)) ids.push_back(static_cast<uint8_t>(byte));
    check_decoding(tokenizer, ids);
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace borealis

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  borealis::read({reinterpret_cast<const char*>(data), size});
  return 0;
}
