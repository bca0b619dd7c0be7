// The terminal as a screen, through ncurses.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "watch/styled_text.h"
#include "watch/view.h"

namespace borealis {

// Takes the terminal of the standard input and output for its life, and gives it back as it was.
// One at a time. Its own signal handlers stand back where the program has some already.
class Screen {
 public:
  // Throws Error(kConfig): the terminal is of a kind that cannot be drawn on. `terminal`: that kind
  // (TERM), for the message.
  Screen(std::string_view terminal, bool colors);
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  int width() const;
  int height() const;
  void draw(const std::vector<StyledLine>& lines);
  // What the user pressed; none: nothing within that time, or a key without a meaning, or the
  // terminal has another size now.
  std::optional<WatchKey> wait_for_key(int milliseconds);
  // Nobody is there any more to press a key.
  bool is_gone() const;

 private:
  void* terminal_;  // the SCREEN of ncurses, whose header is full of macros
  bool colors_ = false;
};

}  // namespace borealis
