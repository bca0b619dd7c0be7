#include "base/text.h"

#include <gtest/gtest.h>

#include <limits>

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

TEST(WholeNumber, IsAllOfTheTextOrNone) {
  EXPECT_EQ(whole_number("42"), 42);
  EXPECT_EQ(whole_number("-7"), -7);
  EXPECT_EQ(whole_number("9223372036854775807"), std::numeric_limits<int64_t>::max());
  for (const char* text : {"", " 1", "1 ", "+1", "1.0", "0x1", "9223372036854775808", "-"}) {
    EXPECT_FALSE(whole_number(text)) << text;
  }
}

}  // namespace
}  // namespace borealis
