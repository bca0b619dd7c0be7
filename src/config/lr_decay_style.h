// The styles of LR_DECAY_STYLE by name.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "config/run_config.h"

namespace borealis {

inline constexpr std::array kLrDecayStyles = {
    std::pair{LrDecayStyle::kConstant, std::string_view("constant")},
    std::pair{LrDecayStyle::kLinear, std::string_view("linear")},
    std::pair{LrDecayStyle::kCosine, std::string_view("cosine")},
    std::pair{LrDecayStyle::kInverseSquareRoot, std::string_view("inverse-square-root")},
    std::pair{LrDecayStyle::kInfiniteCosine, std::string_view("infinite-cosine")},
    std::pair{LrDecayStyle::kInfiniteInverseSquareRoot,
              std::string_view("infinite-inv-square-root")},
};

constexpr std::string_view lr_decay_style_name(LrDecayStyle style) {
  const auto* found =
      std::ranges::find(kLrDecayStyles, style, &std::pair<LrDecayStyle, std::string_view>::first);
  return found == kLrDecayStyles.end() ? "" : found->second;
}

constexpr std::optional<LrDecayStyle> lr_decay_style_of(std::string_view name) {
  const auto* found =
      std::ranges::find(kLrDecayStyles, name, &std::pair<LrDecayStyle, std::string_view>::second);
  return found == kLrDecayStyles.end() ? std::nullopt : std::optional(found->first);
}

// Falls to --constant-lr, holds it, and falls again at the end.
constexpr bool is_infinite(LrDecayStyle style) {
  return style == LrDecayStyle::kInfiniteCosine ||
         style == LrDecayStyle::kInfiniteInverseSquareRoot;
}

}  // namespace borealis
