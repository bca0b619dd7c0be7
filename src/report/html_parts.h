// What HTML reports are put together from. Pages are self-contained: style and drawings are in
// them.
#pragma once

#include <string>

#include "report/report_table.h"
#include "report/svg_plot.h"

namespace borealis {

inline constexpr PlotSize kWidePlot{880, 350};
inline constexpr PlotSize kNarrowPlot{440, 320};

// Texts are plain; they are escaped here. `wide`: for tables of many columns.
std::string html_page_begin(const std::string& title, const std::string& subtitle,
                            bool wide = false);
std::string html_page_end(const std::string& version);
std::string paragraph(const std::string& text, const std::string& css_class = "");
std::string heading(const std::string& text);
// In a box that scrolls by itself where the table is wider than the page.
std::string html_table(const ReportTable& table, const std::string& css_class,
                       bool with_header = true);
// `drawing`: as render_plot made it.
std::string figure(const std::string& drawing, const std::string& caption);
// Two drawings, of which the style sheet shows the one whose text is readable at this width.
std::string responsive_plot(PlotSpec plot);

}  // namespace borealis
