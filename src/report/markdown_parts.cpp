#include "report/markdown_parts.h"

#include <fmt/format.h>

#include "report/html_text.h"

namespace borealis {
namespace {

std::string markdown_row(const std::vector<std::string>& cells) {
  std::string row = "|";
  for (const std::string& cell : cells) row += fmt::format(" {} |", escape_markdown_cell(cell));
  return row + "\n";
}

}  // namespace

std::string markdown_table(const ReportTable& table) {
  std::string text = markdown_row(table.header) + "|";
  for (const bool numeric : table.numeric) text += numeric ? " ---: |" : " :--- |";
  text += "\n";
  for (const std::vector<std::string>& row : table.rows) text += markdown_row(row);
  return text + "\n";
}

std::string markdown_text(const std::string& text) { return escape_markdown_cell(text) + "\n\n"; }

}  // namespace borealis
