// Text for HTML and Markdown from text of any origin.
#pragma once

#include <string>
#include <string_view>

namespace borealis {

// For element content and double-quoted attributes; cleans the text (clean_utf8) as well.
std::string escape_html(std::string_view text);
// For a cell of a Markdown table: one line, no column break, no markup, no tags; cleans as well.
std::string escape_markdown_cell(std::string_view text);
// A fenced block that the text cannot leave.
std::string markdown_fence(std::string_view text, std::string_view language = "text");

}  // namespace borealis
