// What the screen shows: a pure function of the runs, the screen's size and what the user chose.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "watch/styled_text.h"
#include "watch/watched_run.h"

namespace borealis {

enum class WatchKey { kNext, kPrevious, kWhole, kBack, kHelp, kQuit };

// What the user looks at.
struct ViewChoice {
  size_t selected = 0;  // of the runs; clamped where there are fewer
  bool whole = false;   // one run alone
  bool help = false;
  bool quit = false;

  void take(WatchKey key, size_t runs);
};

struct ViewOptions {
  int width = 80;
  int height = 24;
  bool unicode = true;
  std::string time = {};  // shown at the top
  int64_t left_out = 0;   // runs that there are besides
};

// At most `height` lines of at most `width` columns. One run has all of the screen; several stand
// side by side where that gives each 38 columns, else in a table.
std::vector<StyledLine> render_view(std::span<const WatchedRun* const> runs,
                                    const ViewChoice& choice, const ViewOptions& options);

// The same once, for what is no screen: no keys, nothing chosen. One run whole, several as a table.
std::vector<StyledLine> render_snapshot(std::span<const WatchedRun* const> runs,
                                        const ViewOptions& options);

}  // namespace borealis
