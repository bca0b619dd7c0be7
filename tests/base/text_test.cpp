#include "base/text.h"

#include <gtest/gtest.h>

namespace borealis {
namespace {

TEST(CleanUtf8, KeepsUtf8AndReplacesWhatIsNot) {
  EXPECT_EQ(clean_utf8("θ – 日本 🜁\n\tx"), "θ – 日本 🜁\n\tx");
  EXPECT_EQ(clean_utf8("cut \xE2\x82"), "cut \uFFFD\uFFFD");
  EXPECT_EQ(clean_utf8("\xC0\xAF"), "\uFFFD\uFFFD");                      // overlong
  EXPECT_EQ(clean_utf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");            // surrogate
  EXPECT_EQ(clean_utf8("\xF4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");  // beyond U+10FFFF
  EXPECT_EQ(clean_utf8(std::string_view("a\0b\x1b", 4)),
            "a\uFFFD"
            "b\uFFFD");
}

}  // namespace
}  // namespace borealis
