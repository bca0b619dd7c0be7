#include "config/tokenizer_types.h"

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <vector>

namespace borealis {
namespace {

struct TypeName {
  TokenizerType type;
  std::string_view name;
};

constexpr std::array kTypeNames = {
    TypeName{TokenizerType::kHuggingFace, "HFTokenizer"},
    TypeName{TokenizerType::kGpt2, "GPT2BPETokenizer"},
    TypeName{TokenizerType::kGptSentencePiece, "GPTSentencePieceTokenizer"},
    TypeName{TokenizerType::kSentencePiece, "SentencePieceTokenizer"},
    TypeName{TokenizerType::kLlama2, "Llama2Tokenizer"},
    TypeName{TokenizerType::kNull, "NullTokenizer"},
};

}  // namespace

std::optional<TokenizerType> parse_tokenizer_type(std::string_view name) {
  for (const TypeName& known : kTypeNames) {
    if (known.name == name) return known.type;
  }
  if (name.starts_with("gpt") || name.starts_with("GPT")) return TokenizerType::kGpt2;
  return std::nullopt;
}

std::string_view tokenizer_type_name(TokenizerType type) {
  for (const TypeName& known : kTypeNames) {
    if (known.type == type) return known.name;
  }
  return "";
}

std::string supported_tokenizer_types() {
  std::vector<std::string_view> names;
  for (const TypeName& known : kTypeNames) names.push_back(known.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

TokenizerFormat TokenizerSource::format() const {
  if (type == TokenizerType::kNull) return TokenizerFormat::kNumbers;
  if (!merges.empty()) return TokenizerFormat::kGpt2;
  const bool is_model = std::filesystem::path(path).extension() == ".model";
  return type != TokenizerType::kHuggingFace || is_model ? TokenizerFormat::kSentencePiece
                                                         : TokenizerFormat::kJson;
}

std::optional<TokenizerSource> tokenizer_source(const DataConfig& config) {
  const auto type = parse_tokenizer_type(config.tokenizer_type);
  if (!type) return std::nullopt;
  if (*type == TokenizerType::kNull) {
    if (config.tokenizer_numbers == 0) return std::nullopt;
    return TokenizerSource{.type = *type, .size = config.tokenizer_numbers};
  }
  if (config.tokenizer_path.empty()) return std::nullopt;
  return TokenizerSource{
      .type = *type, .path = config.tokenizer_path, .merges = config.tokenizer_merges_path};
}

}  // namespace borealis
