// Quotients and multiples of whole numbers, none of them negative, in the type that both numbers
// have in common.
#pragma once

#include <concepts>

namespace borealis {

// n / divisor, rounded up.
template <std::integral N, std::integral D>
constexpr auto divide_up(N n, D divisor) {
  return (n + divisor - 1) / divisor;
}

// The least multiple of `multiple` that is not below n.
template <std::integral N, std::integral D>
constexpr auto round_up(N n, D multiple) {
  return divide_up(n, multiple) * multiple;
}

}  // namespace borealis
