#include "watch/curve.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string_view>

#include "base/not_a_number.h"
#include "base/units.h"

namespace borealis {
namespace {

constexpr int kAxisColumns = 7;

// Dots of one drawing, several in a character.
class Dots {
 public:
  Dots(int columns, int rows, bool unicode)
      : unicode_(unicode),
        across_(unicode ? 2 : 1),
        down_(unicode ? 4 : 3),
        columns_(columns),
        rows_(rows),
        cells_(static_cast<size_t>(columns) * static_cast<size_t>(rows), 0) {}

  int width() const { return columns_ * across_; }
  int height() const { return rows_ * down_; }

  void set(int x, int y) {
    const auto cell = static_cast<size_t>(y / down_ * columns_ + x / across_);
    cells_[cell] |= 1U << static_cast<unsigned>(y % down_ * across_ + x % across_);
  }
  std::string row(int row) const {
    std::string text;
    for (int column = 0; column < columns_; ++column) {
      const unsigned dots = cells_[static_cast<size_t>(row * columns_ + column)];
      text += unicode_ ? braille(dots) : ascii(dots);
    }
    return text;
  }

 private:
  static std::string braille(unsigned dots) {
    if (dots == 0) return " ";
    // The standard numbers the lowest pair of the eight last.
    constexpr std::array<unsigned, 8> kBits = {0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80};
    unsigned pattern = 0;
    for (unsigned i = 0; i < 8; ++i) pattern |= (dots >> i & 1U) != 0 ? kBits[i] : 0U;
    const unsigned code = 0x2800 + pattern;
    return {static_cast<char>(0xE0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 0x3F)),
            static_cast<char>(0x80 | (code & 0x3F))};
  }
  static std::string ascii(unsigned dots) {
    // Bits from the lowest: upper, middle, lower dot.
    constexpr std::array<char, 8> kSigns = {' ', '\'', '-', '\'', '.', ':', '.', '|'};
    return {kSigns[dots & 7U]};
  }

  bool unicode_;
  int across_;
  int down_;
  int columns_;
  int rows_;
  std::vector<unsigned> cells_;
};

// 0 at the scale's low end, 1 at its high end.
double height_of(double loss, const CurveScale& scale) {
  const double height = (loss - scale.low) / (scale.high - scale.low);
  return std::isfinite(height) ? std::clamp(height, 0.0, 1.0) : 0;  // of a damaged file
}

// A line from point to point: every dot's column has those from the height before to its own.
void draw(const std::vector<double>& means, const CurveScale& scale, Dots& dots) {
  int last_x = -1;
  int last_y = 0;
  for (int x = 0; x < dots.width(); ++x) {
    const double mean = means[static_cast<size_t>(x)];
    if (std::isnan(mean)) continue;
    const int y = static_cast<int>(std::lround((1 - height_of(mean, scale)) * (dots.height() - 1)));
    dots.set(x, y);
    int before = last_y;
    for (int at = last_x + 1; last_x >= 0 && at <= x; ++at) {
      const int here = last_y + (y - last_y) * (at - last_x) / (x - last_x);
      const int nearest = here > before ? before + 1 : here < before ? before - 1 : here;
      for (int dot = std::min(nearest, here); dot <= std::max(nearest, here); ++dot) {
        dots.set(at, dot);
      }
      before = here;
    }
    last_x = x;
    last_y = y;
  }
}

std::string value_label(double value) {
  return right_aligned(
             std::abs(value) < 1000 ? fmt::format("{:.2f}", value) : fmt::format("{:.1e}", value),
             kAxisColumns - 1) +
         ' ';
}

StyledLine iterations_line(const CurveScale& scale, int columns) {
  const std::string last = format_count(scale.last_iteration);
  return {{std::string(kAxisColumns, ' ') + "1" + right_aligned(last, columns - kAxisColumns - 1),
           Style::kDim}};
}

}  // namespace

CurveScale common_scale(std::span<const WatchedRun* const> runs) {
  CurveScale scale;
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (const WatchedRun* run : runs) {
    for (const StepRecord& step : run->steps.steps()) {
      scale.last_iteration = std::max(scale.last_iteration, step.iteration);
      if (step.skipped || step.stands_out || !std::isfinite(step.lm_loss)) continue;
      low = std::min(low, step.lm_loss);
      high = std::max(high, step.lm_loss);
    }
  }
  scale.has_values = low <= high;
  if (!scale.has_values) return scale;
  const double pad = high - low > 1e-9 * std::abs(high) ? 0 : std::max(0.01, std::abs(high) * 0.01);
  scale.low = low - pad;
  scale.high = high + pad;
  return scale;
}

std::vector<double> loss_means(const StepSeries& steps, const CurveScale& scale, int parts) {
  const auto count = static_cast<size_t>(std::max(parts, 0));
  std::vector<double> sums(count, 0);
  std::vector<int64_t> losses(count, 0);
  for (const StepRecord& step : steps.steps()) {
    if (step.skipped || step.stands_out || !std::isfinite(step.lm_loss)) continue;
    const double share = (static_cast<double>(step.iteration) - 1) /
                         static_cast<double>(std::max<int64_t>(1, scale.last_iteration - 1));
    const auto part = static_cast<size_t>(std::clamp(share, 0.0, 1.0) * static_cast<double>(count));
    if (count == 0) break;
    sums[std::min(part, count - 1)] += step.lm_loss;
    ++losses[std::min(part, count - 1)];
  }
  for (size_t i = 0; i < count; ++i) {
    sums[i] = losses[i] > 0 ? sums[i] / static_cast<double>(losses[i]) : kNaN;
  }
  return sums;
}

std::string small_curve(const WatchedRun& run, const CurveScale& scale, int columns, bool unicode) {
  constexpr std::array<std::string_view, 8> kBlocks = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  constexpr std::array<std::string_view, 5> kAscii = {"_", ".", "-", "=", "#"};
  const std::span<const std::string_view> signs =
      unicode ? std::span<const std::string_view>(kBlocks) : kAscii;
  const std::vector<double> means = loss_means(run.steps, scale, columns);
  const auto is_known = [](double mean) { return !std::isnan(mean); };
  const auto end = std::find_if(means.rbegin(), means.rend(), is_known).base();
  std::string curve;
  std::string_view sign = " ";  // where there are more columns than steps, the one before stays
  for (auto mean = means.begin(); mean != end; ++mean) {
    if (is_known(*mean)) {
      const double level = height_of(*mean, scale) * static_cast<double>(signs.size() - 1);
      sign = signs[static_cast<size_t>(std::lround(level))];
    }
    curve += sign;
  }
  return curve;
}

std::vector<StyledLine> large_curve(const WatchedRun& run, const CurveScale& scale, int columns,
                                    int rows, bool unicode) {
  if (rows < 3 || columns < 16) return {};
  if (!scale.has_values) return {{{"no loss yet", Style::kDim}}};
  const int plot_rows = rows - 1;
  Dots dots(columns - kAxisColumns, plot_rows, unicode);
  draw(loss_means(run.steps, scale, dots.width()), scale, dots);
  std::vector<StyledLine> lines;
  for (int row = 0; row < plot_rows; ++row) {
    std::string label(kAxisColumns, ' ');
    if (row == 0) label = value_label(scale.high);
    if (row == plot_rows - 1) label = value_label(scale.low);
    lines.push_back({{label, Style::kDim}, {dots.row(row), Style::kCurve}});
  }
  lines.push_back(iterations_line(scale, columns));
  return lines;
}

}  // namespace borealis
