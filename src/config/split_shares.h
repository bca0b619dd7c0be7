// The shares of training, validation and test data, as --split writes them (contract sections 7.5
// and 7.10).
#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace borealis {

using SplitShares = std::array<double, 3>;  // >= 0, of any sum above 0

// One to three numbers with commas, or with slashes where there is no comma; fractions too, and
// blanks around them. Those that are missing are 0. nullopt for anything else.
std::optional<SplitShares> parse_split_shares(std::string_view text);

}  // namespace borealis
