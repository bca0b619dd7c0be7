// What HTML reports are put together from. Pages are self-contained: style and drawings are in
// them.
#pragma once

#include <string>
#include <vector>

#include "report/report_table.h"
#include "report/svg_plot.h"

namespace borealis {

inline constexpr PlotSize kWidePlot{880, 350};
inline constexpr PlotSize kNarrowPlot{440, 320};

// Texts are plain; they are escaped here. `wide`: for tables of many columns.
std::string html_page_begin(const std::string& title, const std::string& subtitle,
                            bool wide = false);
// `scripted`: with the script of plot_script.h, for a page with an interactive_plot().
std::string html_page_end(const std::string& version, bool scripted = false);
// How the script is used: one line, which only it shows.
std::string script_hint();
std::string paragraph(const std::string& text, const std::string& css_class = "");
std::string heading(const std::string& text);
// In a box that scrolls by itself where the table is wider than the page.
std::string html_table(const ReportTable& table, const std::string& css_class,
                       bool with_header = true);
// `drawing`: as render_plot made it.
std::string figure(const std::string& drawing, const std::string& caption);
// Two drawings, of which the style sheet shows the one whose text is readable at this width.
std::string responsive_plot(PlotSpec plot);
// As responsive_plot, or with `narrow` its narrow drawing alone, and behind it the data by which
// the page's script shows values and zooms.
std::string interactive_plot(PlotSpec plot, bool narrow = false);

struct Choice {
  std::string name;
  std::string content;  // HTML
};
// The first of several things, the others a click or an arrow key away; works without scripts.
// At most three (CHECK). `id`: unique in the page; `question`: what the names answer, "Loss by".
std::string html_choice(const std::string& id, const std::string& question,
                        const std::vector<Choice>& choices);

}  // namespace borealis
