#include "report/svg_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "base/check.h"
#include "report/html_text.h"

namespace borealis {
namespace {

constexpr double kTextHeight = 13;
constexpr double kLetterWidth = 7.2;  // generous mean of sans-serif fonts at this height
constexpr double kRowHeight = 20;
constexpr double kSwatchWidth = 18;
constexpr double kLegendGap = 18;
constexpr size_t kDotsUpTo = 40;       // a line of so few points shows each
constexpr double kUnitsOfABucket = 2;  // along x; a line is about as wide

double text_width(std::string_view text) {
  // Bytes that continue a UTF-8 character take no room.
  const auto letters = std::count_if(text.begin(), text.end(), [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
  });
  return kLetterWidth * static_cast<double>(letters);
}

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
};

// Where things go, in user units.
struct Frame {
  double left = 0;
  double top = 0;
  double width = 0;
  double height = 0;
  PlotAxis x;
  PlotAxis y;

  double at_x(double value) const { return left + x.share(value) * width; }
  // What lies beyond the axis stands at its end.
  double at_y(double value) const {
    return top + (1 - std::clamp(y.share(value), 0.0, 1.0)) * height;
  }
  double bottom() const { return top + height; }
};

struct LegendEntry {
  std::string label;
  int color = 0;
  bool faint = false;
  bool is_mark = false;
  bool is_dot = false;
};

std::vector<LegendEntry> legend_entries(const PlotSpec& spec) {
  std::vector<LegendEntry> entries;
  if (spec.series.size() + (spec.marks.empty() ? 0 : 1) < 2) return entries;  // y label says it
  for (const PlotSeries& series : spec.series) {
    entries.push_back({series.label, series.color, series.faint, false, !series.line});
  }
  if (!spec.marks.empty()) entries.push_back({spec.marks_label, 0, false, true, false});
  return entries;
}

double entry_width(const LegendEntry& entry) {
  return kSwatchWidth + 6 + text_width(entry.label) + kLegendGap;
}

double legend_width(const std::vector<LegendEntry>& entries) {
  double width = 0;
  for (const LegendEntry& entry : entries) width += entry_width(entry);
  return width;
}

// Entries by rows, none wider than the drawing.
std::vector<std::vector<LegendEntry>> legend_rows(const std::vector<LegendEntry>& entries,
                                                  double width) {
  std::vector<std::vector<LegendEntry>> rows;
  double room = 0;
  for (const LegendEntry& entry : entries) {
    const double needed = entry_width(entry);
    if (rows.empty() || needed > room) {
      rows.emplace_back();
      room = width + kLegendGap;  // none after the last
    }
    rows.back().push_back(entry);
    room -= needed;
  }
  return rows;
}

void draw_legend_row(const std::vector<LegendEntry>& entries, double x, double y,
                     std::string& svg) {
  for (const LegendEntry& entry : entries) {
    const double middle = y - kTextHeight / 2 + 2;
    if (entry.is_mark) {
      svg += fmt::format(R"(<path class="mark" d="M{:.1f} {:.1f}l5 8h-10z"/>)",
                         x + kSwatchWidth / 2, middle - 4);
    } else if (entry.is_dot) {
      svg += fmt::format(R"(<circle class="dot c{}" cx="{:.1f}" cy="{:.1f}" r="4.5"/>)",
                         entry.color, x + kSwatchWidth / 2, middle);
    } else {
      svg += fmt::format(R"(<path class="line c{}{}" d="M{:.1f} {:.1f}h{}"/>)", entry.color,
                         entry.faint ? " faint" : "", x, middle, kSwatchWidth);
    }
    svg += fmt::format(R"(<text x="{:.1f}" y="{:.1f}">{}</text>)", x + kSwatchWidth + 6, y,
                       escape_html(entry.label));
    x += entry_width(entry);
  }
}

// The label of the value axis and, beside it or in rows below, the legend. Returns their height.
double draw_head(const PlotSpec& spec, const PlotSize& size, std::string& svg) {
  double y = kTextHeight + 1;
  svg += fmt::format(R"(<text class="label" x="0" y="{:.1f}">{}</text>)", y,
                     escape_html(spec.y_label));
  const std::vector<LegendEntry> entries = legend_entries(spec);
  const double key_width = legend_width(entries);
  if (text_width(spec.y_label) + 24 + key_width <= size.width) {
    draw_legend_row(entries, size.width - key_width, y, svg);
  } else {
    for (const std::vector<LegendEntry>& row : legend_rows(entries, size.width)) {
      draw_legend_row(row, 0, y += kRowHeight, svg);
    }
  }
  return y;
}

Frame make_frame(const PlotSpec& spec, const PlotSize& size, double top) {
  Range x;
  Range y;
  for (const PlotSeries& series : spec.series) {
    for (const PlotPoint& point : series.points) {
      x.add(point.x);
      if (std::isfinite(point.y)) y.add(point.y);
    }
  }
  for (const double mark : spec.marks) x.add(mark);
  if (x.empty()) x = spec.log_x ? Range{1, 10} : Range{0, 1};
  if (y.empty()) y = spec.log_y ? Range{1, 10} : Range{0, 1};
  if (spec.y_from_zero && !spec.log_y) y.add(0);
  if (spec.y_most && y.low < *spec.y_most) y.high = std::min(y.high, *spec.y_most);

  Frame frame;
  frame.top = top;
  frame.height = size.height - top - 2 * kRowHeight - 6;
  const int rows = std::max(2, static_cast<int>(frame.height / 44));
  frame.y = spec.log_y ? log_axis(y.low, y.high, rows) : value_axis(y.low, y.high, rows);
  double label_width = 0;
  for (const AxisTick& tick : frame.y.ticks) {
    label_width = std::max(label_width, text_width(tick.label));
  }
  frame.left = label_width + 12;
  // The last x label stands under the end of the axis; its width is known only from the ticks.
  const auto x_axis_for = [&](double width) {
    const int columns = std::max(2, static_cast<int>(width / 90));
    return spec.log_x ? log_axis(x.low, x.high, columns) : count_axis(x.low, x.high, columns);
  };
  const PlotAxis draft = x_axis_for(size.width - frame.left);
  const double last_label = draft.ticks.empty() ? 0 : text_width(draft.ticks.back().label);
  frame.width = size.width - frame.left - std::max(10.0, last_label / 2 + 2);
  frame.x = x_axis_for(frame.width);
  return frame;
}

void draw_axes(const Frame& frame, std::string& svg) {
  for (const AxisTick& tick : frame.y.ticks) {
    const double y = frame.at_y(tick.value);
    svg += fmt::format(R"(<path class="grid" d="M{:.1f} {:.1f}h{:.1f}"/>)", frame.left, y,
                       frame.width);
    svg += fmt::format(R"(<text class="tick" x="{:.1f}" y="{:.1f}" text-anchor="end">{}</text>)",
                       frame.left - 8, y + 4.5, tick.label);
  }
  svg += fmt::format(R"(<path class="axis" d="M{:.1f} {:.1f}h{:.1f}"/>)", frame.left,
                     frame.bottom(), frame.width);
  for (const AxisTick& tick : frame.x.ticks) {
    const double x = frame.at_x(tick.value);
    svg += fmt::format(R"(<path class="axis" d="M{:.1f} {:.1f}v5"/>)", x, frame.bottom());
    svg += fmt::format(R"(<text class="tick" x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>)",
                       x, frame.bottom() + 5 + kTextHeight + 2, tick.label);
  }
}

void draw_x_label(const PlotSpec& spec, const Frame& frame, std::string& svg) {
  svg += fmt::format(R"(<text class="label" x="{:.1f}" y="{:.1f}" text-anchor="end">{}</text>)",
                     frame.left + frame.width, frame.bottom() + 5 + kTextHeight + kRowHeight,
                     escape_html(spec.x_label));
}

void draw_dot(const Frame& frame, const PlotSeries& series, const PlotPoint& point,
              std::string& svg) {
  svg +=
      fmt::format(R"(<circle class="dot c{}" cx="{:.1f}" cy="{:.1f}" r="{}"><title>)", series.color,
                  frame.at_x(point.x), frame.at_y(point.y), series.line ? 3.2 : 4.5);
  const std::string text =
      point.label.empty() ? fmt::format("{:.10g}: {:.4g}", point.x, point.y) : point.label;
  svg += escape_html(text) + "</title></circle>";
}

void draw_series(const Frame& frame, const PlotSeries& series, std::string& svg) {
  if (!series.line) {
    for (const PlotPoint& point : series.points) draw_dot(frame, series, point, svg);
    return;
  }
  const std::vector<PlotPoint> points =
      thin_points(series.points, std::max(1, static_cast<int>(frame.width / kUnitsOfABucket)));
  const bool all_dots = series.markers || (points.size() <= kDotsUpTo && !series.faint);
  std::string path;
  std::string dots;
  bool pen_down = false;
  for (size_t at = 0; at < points.size(); ++at) {
    const PlotPoint& point = points[at];
    if (!std::isfinite(point.y)) {
      pen_down = false;
      continue;
    }
    path += fmt::format("{}{:.1f} {:.1f}", pen_down ? 'L' : 'M', frame.at_x(point.x),
                        frame.at_y(point.y));
    const bool last_of_stretch = at + 1 == points.size() || !std::isfinite(points[at + 1].y);
    // A point between two gaps has no line to show it.
    if (all_dots || (!pen_down && last_of_stretch)) draw_dot(frame, series, point, dots);
    pen_down = true;
  }
  if (path.empty()) return;
  svg += fmt::format(R"(<path class="line c{}{}" d="{}"/>)", series.color,
                     series.faint ? " faint" : "", path);
  svg += dots;
}

void draw_marks(const Frame& frame, const std::vector<double>& marks, std::string& svg) {
  std::set<int> drawn;  // one a pixel is enough
  for (const double mark : marks) {
    const double x = frame.at_x(mark);
    if (!drawn.insert(static_cast<int>(x)).second) continue;
    svg +=
        fmt::format(R"(<path class="mark" d="M{:.1f} {:.1f}l5 8h-10z"/>)", x, frame.bottom() - 9);
  }
}

// What plot_script.h needs to draw anew: where the axes lie, and what they cover.
std::string frame_attributes(const PlotSpec& spec, const Frame& frame) {
  return fmt::format(
      R"( data-plot="{}" data-frame="{:g} {:g} {:g} {:g} {:.12g} {:.12g} {:.9g} {:.9g}")",
      spec.data_id, frame.left, frame.top, frame.width, frame.height, frame.x.low, frame.x.high,
      frame.y.low, frame.y.high);
}

std::string open_svg(const std::string& id, const std::string& title,
                     const std::string& description, double width, double height,
                     std::string_view attributes) {
  return fmt::format(
      R"(<svg viewBox="0 0 {0:g} {1:g}" role="img" aria-labelledby="{2}-title {2}-desc"{3}>)"
      R"(<title id="{2}-title">{4}</title><desc id="{2}-desc">{5}</desc>)",
      width, height, id, attributes, escape_html(title), escape_html(description));
}

}  // namespace

std::string render_plot(const PlotSpec& spec, const PlotSize& size, bool standalone) {
  std::string head;
  const double head_height = draw_head(spec, size, head);
  const Frame frame = make_frame(spec, size, head_height + 16);
  std::string attributes = R"( class="plot")";
  if (standalone) {
    attributes =
        fmt::format(R"( xmlns="http://www.w3.org/2000/svg" class="plot" width="{}" height="{}")",
                    size.width, size.height);
  } else if (!spec.data_id.empty()) {
    attributes += frame_attributes(spec, frame);
  }
  std::string svg =
      open_svg(spec.id, spec.title, spec.description, size.width, size.height, attributes);
  if (standalone) {
    // In an <img> the file needs a size of its own.
    svg += fmt::format(R"(<style>{}svg.plot {{ width: {}px; height: {}px; }}</style>)"
                       R"(<rect class="page" width="100%" height="100%"/>)",
                       plot_style(), size.width, size.height);
  }
  svg += head;
  draw_x_label(spec, frame, svg);
  svg += R"(<g class="body">)";
  draw_axes(frame, svg);
  for (const PlotSeries& series : spec.series) draw_series(frame, series, svg);
  draw_marks(frame, spec.marks, svg);
  return svg + "</g></svg>\n";
}

std::string render_stacked_bar(const std::string& id, const std::string& title,
                               const std::string& description, const std::vector<BarPart>& parts,
                               double full) {
  constexpr double kWidth = 1000;
  constexpr double kHeight = 30;
  std::string svg = open_svg(id, title, description, kWidth, kHeight,
                             R"( class="bar" preserveAspectRatio="none")");
  svg += fmt::format(R"(<rect class="bar-room" width="{}" height="{}"/>)", kWidth, kHeight);
  double left = 0;
  for (const BarPart& part : parts) {
    const double width = full > 0 ? std::max(0.0, part.value) / full * kWidth : 0;
    if (width > 0) {
      svg += fmt::format(
          R"(<rect class="bar-part c{}" x="{:.2f}" width="{:.2f}" height="{}"><title>{}</title></rect>)",
          part.color, left, width, kHeight, escape_html(part.label));
    }
    left += width;
  }
  return svg + "</svg>\n";
}

}  // namespace borealis
