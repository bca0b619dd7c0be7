#include "base/printable.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace borealis {
namespace {

TEST(Printable, LeavesTextAsItIs) {
  EXPECT_EQ(printable(""), "");
  EXPECT_EQ(printable("a line\n  und\teine: ä 語\n---\n"), "a line\n  und\teine: ä 語\n---\n");
}

TEST(Printable, ShowsControlCharacters) {
  EXPECT_EQ(printable("\x1b[2Jgone\r\x07\x7f"), "\\x1b[2Jgone\\x0d\\x07\\x7f");
  EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(printable("x\nborealis: forged"), "x\\nborealis: forged");
  EXPECT_EQ(printable("\u009b31m \u00a0 \u00e9"), "\\u009b31m \u00a0 \u00e9");
}

TEST(Printable, CutsTheMiddleOfWhatIsEndless) {
  const std::string shown = printable("begin" + std::string(1'000'000, 'x') + "end");
  EXPECT_LT(shown.size(), 5000u);
  EXPECT_THAT(shown, ::testing::StartsWith("begin"));
  EXPECT_THAT(shown, ::testing::EndsWith("end"));
  EXPECT_THAT(shown, ::testing::HasSubstr("[... 996008 bytes ...]"));
}

}  // namespace
}  // namespace borealis
