// "Did you mean": the known name that a mistyped one is closest to.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace borealis {

// The name with the least edit distance, or of which `text` is the beginning; none if all are far.
std::optional<std::string_view> nearest_name(std::string_view text,
                                             const std::vector<std::string_view>& names);

}  // namespace borealis
