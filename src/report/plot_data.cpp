#include "report/plot_data.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "base/check.h"
#include "base/json_excerpt.h"
#include "base/text.h"
#include "report/html_text.h"

namespace borealis {
namespace {

// A JSON string in which HTML sees neither a tag nor a comment.
std::string quoted(const std::string& text) {
  std::string safe;
  for (const char byte : json_text(nlohmann::json(clean_utf8(text)))) {
    if (byte == '<' || byte == '>' || byte == '&') {
      safe += fmt::format("\\u{:04x}", static_cast<unsigned>(byte));
    } else {
      safe += byte;
    }
  }
  return safe;
}

// x keeps the digits of counts, y those that a reader can use.
template <typename Number>
std::string list_of(const std::vector<PlotPoint>& points, const Number& number) {
  std::string list = "[";
  for (const PlotPoint& point : points) {
    if (list.size() > 1) list += ',';
    list += number(point);
  }
  return list + "]";
}

std::string series_json(const PlotSeries& series) {
  const std::vector<PlotPoint> points =
      series.line ? thin_points(series.points, kPlotDataBuckets) : series.points;
  return fmt::format(
      R"({{"label":{},"color":{},"faint":{},"line":{},"dots":{},"x":{},"y":{}}})",
      quoted(series.label), series.color, series.faint, series.line, series.markers || !series.line,
      list_of(points, [](const PlotPoint& point) { return fmt::format("{:.12g}", point.x); }),
      list_of(points, [](const PlotPoint& point) {
        return std::isfinite(point.y) ? fmt::format("{:.6g}", point.y) : "null";
      }));
}

// Those that stand apart.
std::string marks_json(const PlotSpec& plot) {
  std::set<double> marks(plot.marks.begin(), plot.marks.end());
  std::string list = "[";
  if (marks.empty()) return list + "]";
  const double gap = (*marks.rbegin() - *marks.begin()) / (2 * kPlotDataBuckets);
  double last = 0;
  for (const double mark : marks) {
    if (list.size() > 1 && mark - last < gap) continue;
    list += fmt::format("{}{:.12g}", list.size() > 1 ? "," : "", mark);
    last = mark;
  }
  return list + "]";
}

}  // namespace

std::string plot_data(const PlotSpec& plot) {
  CHECK(!plot.data_id.empty() && !plot.log_x);
  std::string series;
  for (const PlotSeries& one : plot.series) {
    series += (series.empty() ? "" : ",\n") + series_json(one);
  }
  return fmt::format(
      "<script type=\"application/json\" id=\"{}-data\">\n"
      "{{\"x\":{},\"y_log\":{},\"y_most\":{},\"marks\":{},\"marks_label\":{},\"series\":[\n{}]}}\n"
      "</script>\n",
      plot.data_id, quoted(plot.x_label), plot.log_y,
      plot.y_most ? fmt::format("{:.6g}", *plot.y_most) : "null", marks_json(plot),
      quoted(plot.marks_label), series);
}

}  // namespace borealis
