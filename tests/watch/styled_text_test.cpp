#include "watch/styled_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace borealis {
namespace {

using ::testing::ElementsAre;

TEST(StyledText, CutsAtEitherEnd) {
  EXPECT_EQ(cut_text("abcdef", 6, true), "abcdef");
  EXPECT_EQ(cut_text("abcdef", 4, true), "abc…");
  EXPECT_EQ(cut_text("abcdef", 4, false), "abc~");
  EXPECT_EQ(cut_text("abcdef", 0, true), "");
  EXPECT_EQ(cut_name("abcdef", 4, true), "…def");
  EXPECT_EQ(cut_name("äöüß", 3, true), "…üß");
  EXPECT_EQ(cut_name("abc", 1, false), "~");
}

TEST(StyledText, CutsLinesOfSeveralParts) {
  const StyledLine line = {{"abc"}, {"def", Style::kBad}};
  EXPECT_EQ(plain_text(cut_line(line, 6, false)), "abcdef");
  EXPECT_EQ(plain_text(cut_line(line, 5, false)), "abcd~");
  EXPECT_EQ(plain_text(cut_line(line, 3, false)), "ab~");
  EXPECT_EQ(plain_text(cut_line(line, 1, false)), "~");
  EXPECT_EQ(plain_text(cut_line(line, 0, false)), "");
  EXPECT_EQ(plain_text(fill_line(line, 8, false)), "abcdef  ");
  EXPECT_EQ(line_columns(fill_line(line, 2, false)), 2);
}

TEST(StyledText, WrapsAtBlanks) {
  EXPECT_THAT(wrap_text("file: cannot write there", 12),
              ElementsAre("file: cannot", "write there"));
  EXPECT_THAT(wrap_text("abcdefgh ij", 4), ElementsAre("abcd", "efgh", "ij"));
  EXPECT_THAT(wrap_text("", 4), ElementsAre(""));
}

TEST(StyledText, ShowsNothingThatMovesTheCursor) {
  EXPECT_EQ(one_line("a\x1b[2Jb\nc", true).find('\x1b'), std::string::npos);
  EXPECT_EQ(one_line("a\nb", true).find('\n'), std::string::npos);
  EXPECT_EQ(one_line("grün", true), "grün");
  EXPECT_EQ(one_line("grün", false), "gr?n");
  EXPECT_EQ(one_line("\xff", false), "?");
}

}  // namespace
}  // namespace borealis
