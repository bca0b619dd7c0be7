#pragma once

#include <optional>
#include <string_view>

namespace borealis {

// Columns of the terminal that a descriptor is; none: it is no terminal, or one that does not tell.
std::optional<int> terminal_columns(int descriptor);
inline constexpr int kColumnsOfNoTerminal = 120;  // of lines that are made to fit
// Whether it is a terminal on which a line can be erased and written anew. kind: $TERM.
bool can_redraw(int descriptor, std::string_view kind);

}  // namespace borealis
