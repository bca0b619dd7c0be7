// Lines of text with a manner of drawing each part, for a terminal or, without the manners, a pipe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace borealis {

// No meaning hangs on a style alone: there is always a word or a sign for it, too.
enum class Style { kPlain, kBold, kDim, kGood, kWarning, kBad, kCurve, kSelected };

struct StyledPart {
  std::string text;  // one line of printable UTF-8
  Style style = Style::kPlain;
};
using StyledLine = std::vector<StyledPart>;

// Columns that a terminal gives to the text, as far as LC_CTYPE tells.
int text_columns(std::string_view text);
int line_columns(const StyledLine& line);
std::string plain_text(const StyledLine& line);

// What ends a text that was cut: one column.
std::string_view cut_mark(bool unicode);

// Of what does not fit, the end is cut off, or, of names, whose ends tell them apart, the
// beginning.
std::string cut_text(std::string_view text, int columns, bool unicode);
std::string cut_name(std::string_view name, int columns, bool unicode);
// At blanks, where there are any, in lines of so many columns (at least one).
std::vector<std::string> wrap_text(std::string_view text, int columns);
StyledLine cut_line(const StyledLine& line, int columns, bool unicode);

// Exactly so many columns: cut or filled with blanks.
StyledLine fill_line(const StyledLine& line, int columns, bool unicode);
std::string left_aligned(std::string_view text, int columns);
std::string right_aligned(std::string_view text, int columns);

// One line, of what a terminal shows as it stands: a text from a file could otherwise move the
// cursor. Without `unicode`, what is not ASCII becomes '?'.
std::string one_line(std::string_view text, bool unicode);

}  // namespace borealis
