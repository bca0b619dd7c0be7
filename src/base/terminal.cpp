#include "base/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

namespace borealis {

std::optional<int> terminal_columns(int descriptor) {
  winsize size{};
  if (::ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return std::nullopt;
  return size.ws_col;
}

bool can_redraw(int descriptor, std::string_view kind) {
  return ::isatty(descriptor) == 1 && !kind.empty() && kind != "dumb";
}

}  // namespace borealis
