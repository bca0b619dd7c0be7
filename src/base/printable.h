#pragma once

#include <string>
#include <string_view>

namespace borealis {

// For a terminal or a log: control characters are written as \x1b or \u009b, so that names and
// texts from files can neither move the cursor nor hide what they say. A newline stays where the
// next line is indented or ruled ('-'), as those of our own messages are: what follows another
// might pass for a message of its own. A text of more than a few thousand bytes is cut in the
// middle.
std::string printable(std::string_view text);

}  // namespace borealis
