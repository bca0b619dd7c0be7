// Line plots and bars as SVG text: axes, ticks, legend, title and description for screen readers.
// Colours come from CSS variables, so that the same drawing suits light and dark pages.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "report/plot_scale.h"

namespace borealis {

struct PlotSeries {
  std::string label;
  int color = 0;         // 0..9, of the palette in plot_style()
  bool faint = false;    // a background line
  bool markers = false;  // a dot at each point; single points always get one
  std::vector<PlotPoint> points = {};
  bool line = true;  // false: dots only, in any order of x
};

struct PlotSpec {
  std::string id;           // unique in the page; also names title and description
  std::string title;        // for screen readers and as the drawing's name
  std::string description;  // one sentence that says what is to be seen
  std::string x_label;
  std::string y_label;  // with its unit
  std::vector<PlotSeries> series;
  std::vector<double> marks;  // positions on the x axis that get a small triangle
  std::string marks_label;
  bool log_x = false;        // requires positive values
  bool log_y = false;        // requires positive values
  bool y_from_zero = false;  // ignored with log_y
  // The value axis ends here at the latest; what lies beyond is drawn at its end. None: all of it
  // is covered.
  std::optional<double> y_most = {};
  // Names the plot_data() of the same page, by which a script may draw it anew; empty: there is
  // none.
  std::string data_id = {};
};

struct PlotSize {
  int width = 880;  // user units; text is 13 of them high
  int height = 340;
};

// `standalone`: a file of its own, with namespace and style; else for use inside a page that has
// plot_style().
std::string render_plot(const PlotSpec& spec, const PlotSize& size, bool standalone = false);

struct BarPart {
  std::string label;
  double value = 0;
  int color = 0;
};
// One horizontal bar of stacked parts, as wide as its container; `full` is the value that would
// fill it.
std::string render_stacked_bar(const std::string& id, const std::string& title,
                               const std::string& description, const std::vector<BarPart>& parts,
                               double full);

constexpr int kPlotColors = 10;
// The style sheet of all drawings, light and dark.
std::string_view plot_style();

}  // namespace borealis
