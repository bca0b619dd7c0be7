#pragma once

#include <string>
#include <string_view>

namespace borealis {

// Without blanks, tabs and line ends at either end; a part of `text`.
std::string_view trimmed(std::string_view text);
// ASCII letters alone.
std::string lower_case(std::string_view text);

}  // namespace borealis
