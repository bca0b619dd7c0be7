// A table of a report, before it is HTML or Markdown.
#pragma once

#include <string>
#include <vector>

namespace borealis {

struct ReportTable {
  std::string caption;
  bool caption_shown = true;  // false: a heading says the same; for screen readers only
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;  // plain text; each as long as the header
  std::vector<bool> numeric;                   // one a column: aligned right
  std::vector<int> colors;                     // one a row, of the bar above it; empty: no bar
};

}  // namespace borealis
