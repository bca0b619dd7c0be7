#include "tokenizer/gpt2_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "base/json_excerpt.h"
#include "tokenizer/utf8.h"

namespace borealis {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* kEndOfText = "<|endoftext|>";

json read_vocabulary(const fs::path& file) {
  json vocabulary = json::parse(read_json_text(file), nullptr, /*allow_exceptions=*/false);
  const auto is_id = [](const json& value) { return value.is_number_unsigned(); };
  if (!vocabulary.is_object() || vocabulary.empty() ||
      !std::all_of(vocabulary.begin(), vocabulary.end(), is_id)) {
    throw Error(ErrorKind::kData,
                fmt::format("{} is not a JSON object of pieces and their ids", file.string()),
                "give GPT-2's vocab.json");
  }
  if (!vocabulary.contains(kEndOfText)) {
    throw Error(ErrorKind::kData,
                fmt::format("{} has no {}, which ends documents", file.string(), kEndOfText),
                "give the vocab.json of a GPT-2 tokenizer");
  }
  return vocabulary;
}

json read_merges(const fs::path& file) {
  const std::string text = read_text_file(file);
  json merges = json::array();
  int64_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("#version")) continue;
    if (valid_utf8_prefix(line) < line.size()) {
      throw Error(ErrorKind::kData, fmt::format("{}:{}: not UTF-8", file.string(), number),
                  "give GPT-2's merges.txt");
    }
    const size_t space = line.find(' ');
    if (space == 0 || space >= line.size() - 1 || line.find(' ', space + 1) != line.npos) {
      throw Error(ErrorKind::kData,
                  fmt::format("{}:{}: not two pieces and a space", file.string(), number),
                  "give GPT-2's merges.txt");
    }
    merges.push_back(line);
  }
  return merges;
}

}  // namespace

TokenizerDefinition read_gpt2_files(const fs::path& vocab, const fs::path& merges,
                                    bool find_end_of_text) {
  json file = {{"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
               {"decoder", {{"type", "ByteLevel"}}},
               {"model", {{"type", "BPE"}}}};
  file["model"]["vocab"] = read_vocabulary(vocab);
  file["model"]["merges"] = read_merges(merges);
  if (find_end_of_text) {
    file["added_tokens"] = {
        {{"id", file["model"]["vocab"][kEndOfText]}, {"content", kEndOfText}, {"special", true}}};
  }
  TokenizerDefinition definition = parse_tokenizer_json(
      json_text(file), fmt::format("{} with {}", vocab.string(), merges.filename().string()));
  definition.end_of_text = kEndOfText;
  return definition;
}

}  // namespace borealis
