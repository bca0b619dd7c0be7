// Unicode's general categories and scripts as the tokenizers library's regular expressions
// (Oniguruma) know them, Unicode 16, in the spelling of PCRE2, which knows Unicode 14.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace borealis {

struct CodePointRange {
  uint32_t first = 0;
  uint32_t last = 0;
};

// What stands in a character class of PCRE2 for \p{name} or, `negated`, for \P{name}. Case, spaces,
// hyphens and underscores of the name do not matter. nullopt: neither a category nor a script that
// has changed; PCRE2 knows it by itself, or nobody does.
std::optional<std::string> pcre2_class_items(std::string_view name, bool negated);

}  // namespace borealis
