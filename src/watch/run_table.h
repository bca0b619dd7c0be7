// Several runs, a line each.
#pragma once

#include <span>
#include <vector>

#include "watch/curve.h"
#include "watch/styled_text.h"
#include "watch/watched_run.h"

namespace borealis {

struct TableSize {
  int width = 80;
  int height = 20;
};

// A header and a line a run, of at most `width` columns: columns that do not fit are left out,
// first memory, last the progress; name, state and loss are always there. Where the runs are more
// than the lines, those around the selected one are shown. `selected` < 0: none.
std::vector<StyledLine> run_table(std::span<const WatchedRun* const> runs, const CurveScale& scale,
                                  const TableSize& size, int selected, bool unicode);

}  // namespace borealis
