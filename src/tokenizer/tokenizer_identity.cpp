#include "tokenizer/tokenizer_identity.h"

#include <fmt/format.h>
#include <sha2.h>

#include <array>

#include "base/file.h"

namespace borealis {

std::string sha256_hex(const std::vector<std::filesystem::path>& files) {
  SHA2_CTX context;
  SHA256Init(&context);
  for (const std::filesystem::path& path : files) {
    const MappedFile file(path);
    SHA256Update(&context, reinterpret_cast<const uint8_t*>(file.bytes().data()),
                 file.bytes().size());
  }
  std::array<uint8_t, SHA256_DIGEST_LENGTH> digest{};
  SHA256Final(digest.data(), &context);
  std::string text;
  for (const uint8_t byte : digest) text += fmt::format("{:02x}", byte);
  return text;
}

TokenizerIdentity tokenizer_identity(const Tokenizer& tokenizer) {
  const TokenizerOrigin& origin = tokenizer.origin();
  const auto prefix = tokenizer.document_prefix();
  const auto suffix = tokenizer.document_suffix();
  return {.kind = origin.kind,
          .sha256 = origin.files.empty() ? "" : sha256_hex(origin.files),
          .vocab_size = tokenizer.vocab_size(),
          .end_token = tokenizer.end_of_text(),
          .document_prefix = {prefix.begin(), prefix.end()},
          .document_suffix = {suffix.begin(), suffix.end()}};
}

}  // namespace borealis
