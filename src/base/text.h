#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace borealis {

// Without blanks, tabs and line ends at either end; a part of `text`.
std::string_view trimmed(std::string_view text);
// ASCII letters alone.
std::string lower_case(std::string_view text);
// The number that all of `text` is, in base 10, with a minus maybe; none of anything else, or
// beyond 63 bits.
std::optional<int64_t> whole_number(std::string_view text);
// Bytes that are not UTF-8, and control characters other than tab and newline, become U+FFFD.
std::string clean_utf8(std::string_view text);

}  // namespace borealis
