// The points of a plot as JSON, for the script of the page that it stands in (plot_script.h).
#pragma once

#include <string>

#include "report/svg_plot.h"

namespace borealis {

// A line has at most 2 x (kPlotDataBuckets + 1) points in it, however long the run is.
inline constexpr int kPlotDataBuckets = 400;

// An element <script type="application/json" id="<data_id>-data">, which browsers do not run and
// which no label can leave, of
//   {"x": "iteration", "y_log": false, "y_most": null, "marks": [7], "marks_label": "skipped step",
//    "series": [{"label": "training", "color": 0, "faint": false, "line": true, "dots": false,
//                "x": [1, 2], "y": [8.9, null]}]}
// where null is a gap, or a plot without an end of its value axis. Logarithmic x is not drawn anew.
std::string plot_data(const PlotSpec& plot);

}  // namespace borealis
