#include "cli/text_documents.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"

namespace borealis {
namespace {

bool is_jsonl(const std::string& file, TextFormat format) {
  if (format != TextFormat::kAuto) return format == TextFormat::kJsonl;
  return file.ends_with(".jsonl") || file.ends_with(".json");
}

std::string text_of_line(std::string_view line, const TextInput& input, const std::string& file,
                         int64_t number) {
  const nlohmann::json object = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) {
    throw Error(ErrorKind::kData, fmt::format("{}:{}: not a JSON object", file, number),
                "every line of a JSONL file must be one");
  }
  const auto text = object.find(input.json_key);
  if (text == object.end() || !text->is_string()) {
    throw Error(ErrorKind::kData,
                fmt::format("{}:{}: no text under the key '{}'", file, number, input.json_key),
                "name the right one with --json-key");
  }
  return text->get<std::string>();
}

}  // namespace

void for_each_document(const TextInput& input,
                       const std::function<void(std::string_view)>& on_document) {
  for (const std::string& file : input.files) {
    const MappedFile mapped(file);
    const std::string_view text(reinterpret_cast<const char*>(mapped.bytes().data()),
                                mapped.bytes().size());
    if (!is_jsonl(file, input.format)) {
      on_document(text);
      continue;
    }
    int64_t number = 0;
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find('\n', at), text.size());
      const std::string_view line = text.substr(at, end - at);
      ++number;
      at = end + 1;
      if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
      on_document(text_of_line(line, input, file, number));
    }
  }
}

TextFormat parse_text_format(const std::string& name) {
  if (name == "auto") return TextFormat::kAuto;
  if (name == "text") return TextFormat::kText;
  if (name == "jsonl") return TextFormat::kJsonl;
  throw Error(ErrorKind::kUsage, fmt::format("--format {} is none of auto, text, jsonl", name));
}

}  // namespace borealis
