// What Markdown reports are put together from.
#pragma once

#include <string>

#include "report/report_table.h"

namespace borealis {

std::string markdown_table(const ReportTable& table);  // with a blank line behind it
std::string markdown_text(const std::string& text);    // a paragraph of plain text

}  // namespace borealis
