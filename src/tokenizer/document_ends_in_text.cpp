#include "tokenizer/document_ends_in_text.h"

namespace borealis {
namespace {

constexpr std::string_view kBlanksInLine = " \t\r";
constexpr std::string_view kBlanksAndEnds = " \t\r\n";

// Whether a document ends with the line whose end stands at `newline`.
bool ends_document(std::string_view text, size_t newline, DocumentUnit unit) {
  if (unit == DocumentUnit::kLine) return true;
  const size_t before = text.substr(0, newline).find_last_not_of(kBlanksInLine);
  return before == std::string_view::npos || text[before] == '\n';
}

}  // namespace

size_t first_document_end(std::string_view text, size_t from, DocumentUnit unit) {
  if (unit == DocumentUnit::kFile) return std::string_view::npos;
  for (size_t at = text.find('\n', from); at != std::string_view::npos;
       at = text.find('\n', at + 1)) {
    if (ends_document(text, at, unit)) return at + 1;
  }
  return std::string_view::npos;
}

size_t last_document_end(std::string_view text, size_t from, DocumentUnit unit) {
  if (unit == DocumentUnit::kFile) return 0;
  for (size_t at = text.rfind('\n'); at != std::string_view::npos && at >= from;
       at = text.rfind('\n', at - 1)) {
    if (ends_document(text, at, unit)) return at + 1;
    if (at == 0) break;
  }
  return 0;
}

std::string_view trimmed_document(std::string_view text, DocumentUnit unit) {
  if (unit == DocumentUnit::kFile) return text;
  const size_t first = text.find_first_not_of(kBlanksAndEnds);
  if (first == std::string_view::npos) return {};
  const size_t line_end = text.substr(0, first).rfind('\n');
  if (line_end != std::string_view::npos) text.remove_prefix(line_end + 1);
  const std::string_view ends = unit == DocumentUnit::kLine ? "\r\n" : kBlanksAndEnds;
  return text.substr(0, text.find_last_not_of(ends) + 1);
}

}  // namespace borealis
