// The loss of a run as a curve of characters.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "watch/styled_text.h"
#include "watch/watched_run.h"

namespace borealis {

// What all curves of a view are drawn on.
struct CurveScale {
  double low = 0;  // of the loss, low < high
  double high = 1;
  int64_t last_iteration = 1;  // the first is 1
  bool has_values = false;
};
CurveScale common_scale(std::span<const WatchedRun* const> runs);

// Means of the loss over so many equal parts of the scale's iterations; NaN where no step of a part
// has a loss. Skipped steps do not count.
std::vector<double> loss_means(const StepSeries& steps, const CurveScale& scale, int parts);

// One line of at most `columns` characters, as far as the run has come: blocks of eight heights, or
// five signs of ASCII.
std::string small_curve(const WatchedRun& run, const CurveScale& scale, int columns, bool unicode);

// `rows` lines of `columns`, with the scale's values at the left and, in the last line, its
// iterations; of dots in Braille, eight a character, or of ASCII, three. Needs three rows and 16
// columns; otherwise nothing.
std::vector<StyledLine> large_curve(const WatchedRun& run, const CurveScale& scale, int columns,
                                    int rows, bool unicode);

}  // namespace borealis
