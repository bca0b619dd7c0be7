// Unicode normal forms (UAX #15) with the tables of the tokenizers library, whose Unicode is older
// than that of its regular expressions: characters that it does not know stay as they are.
#pragma once

#include <string>
#include <string_view>

namespace borealis {

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

// Appends the normal form of `text`, valid UTF-8, to `out`. Takes no memory but for that and the
// combining marks of one character.
void append_normal_form(std::string_view text, NormalForm form, std::string& out);

}  // namespace borealis
