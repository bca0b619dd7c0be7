#include "cli/prompts.h"

#include <fmt/format.h>

#include <iostream>
#include <iterator>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "tokenizer/documents.h"

namespace borealis {
namespace {

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.emplace_back(line);
  }
  return lines;
}

std::vector<std::string> json_lines_of(const std::string& file) {
  std::vector<std::string> prompts;
  const DocumentFiles files({file}, {.format = TextFormat::kJsonLines,
                                     .json_key = "prompt",
                                     .key_remedy = "write every line as {\"prompt\": \"text\"}",
                                     .text_remedy = "a file of plain text must not end in .jsonl"});
  DocumentReader reader(files);
  while (const auto chunk = reader.next()) {
    chunk->for_each_document([&](std::string_view text, int64_t) { prompts.emplace_back(text); });
  }
  return prompts;
}

std::vector<std::string> texts_of(const std::string& file) {
  if (file == "-") {
    return lines_of(std::string(std::istreambuf_iterator<char>(std::cin), {}));
  }
  return file.ends_with(".jsonl") ? json_lines_of(file) : lines_of(read_text_file(file));
}

}  // namespace

std::vector<PromptText> read_prompts(const std::string& file) {
  const std::string name = file == "-" ? "standard input" : file;
  std::vector<PromptText> prompts;
  for (std::string& text : texts_of(file)) {
    prompts.push_back({std::move(text), fmt::format("prompt {} of {}", prompts.size() + 1, name)});
  }
  if (prompts.empty()) {
    throw Error(ErrorKind::kData, name + " holds no prompt",
                "write one a line, or JSON objects with a \"prompt\" in a .jsonl file");
  }
  return prompts;
}

}  // namespace borealis
