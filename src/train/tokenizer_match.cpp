#include "train/tokenizer_match.h"

#include <algorithm>
#include <array>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "data/file_checksum.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

bool is_there(const fs::path& path) {
  std::error_code unknown;
  return fs::is_regular_file(path, unknown);
}

// What has the tokenizer's ids, and the name that it has in a model's folder.
std::vector<std::pair<fs::path, const char*>> files_of(const TokenizerSource& tokenizer) {
  switch (tokenizer.format()) {
    case TokenizerFormat::kJson:
      return {{tokenizer.path, "tokenizer.json"}};
    case TokenizerFormat::kSentencePiece:
      return {{tokenizer.path, "tokenizer.model"}};
    case TokenizerFormat::kGpt2:
      return {{tokenizer.path, "vocab.json"}, {tokenizer.merges, "merges.txt"}};
    case TokenizerFormat::kNumbers:
      break;
  }
  return {};
}

}  // namespace

std::optional<bool> is_tokenizer_of(const TokenizerSource& tokenizer,
                                    const fs::path& model_folder) {
  constexpr std::array kNames = {"tokenizer.json", "tokenizer.model", "vocab.json"};
  const bool has_one =
      std::ranges::any_of(kNames, [&](const char* name) { return is_there(model_folder / name); });
  // Numbers have no files; their count is compared with the vocabulary.
  if (!has_one || tokenizer.format() == TokenizerFormat::kNumbers) return std::nullopt;
  return std::ranges::all_of(files_of(tokenizer), [&](const auto& file) {
    const fs::path there = model_folder / file.second;
    return is_there(there) && file_checksum(there) == file_checksum(file.first);
  });
}

}  // namespace borealis
