#include "tokenizer/tokenizer.h"

#include <utility>

#include "tokenizer/bpe_engine.h"
#include "tokenizer/utf8.h"

namespace borealis {
namespace {

std::filesystem::path json_file(const std::filesystem::path& path) {
  return std::filesystem::is_directory(path) ? path / "tokenizer.json" : path;
}

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<const TokenizerEngine> engine, TokenizerOrigin origin)
    : engine_(std::move(engine)), origin_(std::move(origin)) {}

Tokenizer::Tokenizer(TokenizerDefinition definition)
    : engine_(std::make_unique<BpeEngine>(std::move(definition))) {}

Tokenizer::Tokenizer(const std::filesystem::path& path)
    : Tokenizer(std::make_unique<BpeEngine>(read_tokenizer(path)),
                {.kind = "tokenizer.json", .files = {json_file(path)}}) {}

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

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  StreamDecoder decoder(*this, skip_special);
  std::string text;
  for (const int32_t id : ids) text += decoder.add(id);
  return text + decoder.finish();
}

TokenEncoder::TokenEncoder(const Tokenizer& tokenizer)
    : engine_(*tokenizer.engine_), encoder_(engine_.make_encoder()) {}

void TokenEncoder::encode(std::string_view text, std::vector<int32_t>& ids) {
  if (is_valid_utf8(text)) {
    encoder_->encode(text, ids);
  } else {
    encoder_->encode(replace_invalid_utf8(text), ids);
  }
}

void TokenEncoder::encode_document(std::string_view text, std::vector<int32_t>& ids) {
  const std::span<const int32_t> prefix = engine_.document_prefix();
  const std::span<const int32_t> suffix = engine_.document_suffix();
  ids.insert(ids.end(), prefix.begin(), prefix.end());
  encode(text, ids);
  ids.insert(ids.end(), suffix.begin(), suffix.end());
}

}  // namespace borealis
