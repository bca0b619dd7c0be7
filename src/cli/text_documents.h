// Documents of text files: a file each, or the lines of JSONL files.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace borealis {

enum class TextFormat { kAuto, kText, kJsonl };  // kAuto: .jsonl and .json are JSONL

struct TextInput {
  std::vector<std::string> files;
  TextFormat format = TextFormat::kAuto;
  std::string json_key = "text";
};

// Calls on_document with every document, in order. Throws Error(kFile) for a file that cannot be
// read and Error(kData), naming file and line, for a line that is no JSON object with that key.
void for_each_document(const TextInput& input,
                       const std::function<void(std::string_view)>& on_document);

TextFormat parse_text_format(const std::string& name);  // Error(kUsage) for an unknown one

}  // namespace borealis
