#pragma once

#include <string>
#include <string_view>

namespace borealis {

// For a terminal or a log: control characters but the newline and the tab are written as \x1b, so
// that names and texts from files can neither move the cursor nor hide what they say. A text of
// more than a few thousand bytes is cut in the middle.
std::string printable(std::string_view text);

}  // namespace borealis
