// The whole of one run in a rectangle.
#pragma once

#include <vector>

#include "watch/curve.h"
#include "watch/styled_text.h"
#include "watch/watched_run.h"

namespace borealis {

struct PanelSize {
  int width = 80;
  int height = 20;
  int state_lines = 1;  // at least; panels side by side have as many
};

// How many lines the state takes, an error's text, say.
int state_lines(const WatchedRun& run, int width, bool unicode);

// Name, state, progress, the curve of the loss and as many figures as fit: at most `height` lines.
// `selected`: its name is marked.
std::vector<StyledLine> run_panel(const WatchedRun& run, const CurveScale& scale,
                                  const PanelSize& size, bool selected, bool unicode);

}  // namespace borealis
