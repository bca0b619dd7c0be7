#pragma once

#include <optional>

namespace borealis {

// Columns of the terminal that a descriptor is; none: it is no terminal, or one that does not tell.
std::optional<int> terminal_columns(int descriptor);

}  // namespace borealis
