#include "tokenizer/utf8.h"

#include <gtest/gtest.h>

namespace borealis {
namespace {

TEST(Utf8, EncodesAndDecodesEveryCodePoint) {
  for (uint32_t c = 0; c < 0x110000; ++c) {
    if (c == 0xd800) c = 0xe000;  // surrogates
    std::string text;
    append_utf8(text, c);
    const Utf8Sequence sequence = first_utf8_sequence(text);
    ASSERT_EQ(sequence.status, Utf8Sequence::Status::kValid) << c;
    ASSERT_EQ(sequence.code_point, c);
    ASSERT_EQ(sequence.length, text.size());
    ASSERT_TRUE(is_valid_utf8(text));
    ASSERT_EQ(last_code_point("\xc3\xa9" + text), c);
  }
}

// What Python's bytes.decode("utf-8", errors="replace") gives.
TEST(Utf8, ReplacesTheLongestStartOfAnInvalidSequence) {
  const std::string r = "\xef\xbf\xbd";
  EXPECT_EQ(replace_invalid_utf8("plain \xc3\xa9"), "plain \xc3\xa9");
  EXPECT_EQ(replace_invalid_utf8("a\xff\xfe"
                                 "b"),
            "a" + r + r + "b");
  EXPECT_EQ(replace_invalid_utf8("a\x80z"), "a" + r + "z");
  EXPECT_EQ(replace_invalid_utf8("\xe2\x82"), r);         // cut short at the end
  EXPECT_EQ(replace_invalid_utf8("\xe2\x82z"), r + "z");  // and inside
  EXPECT_EQ(replace_invalid_utf8("\xf0\x9f\x98z"), r + "z");
  EXPECT_EQ(replace_invalid_utf8("\xc0\xaf"), r + r);                  // overlong
  EXPECT_EQ(replace_invalid_utf8("\xe0\x80\xaf"), r + r + r);          // overlong
  EXPECT_EQ(replace_invalid_utf8("\xed\xa0\x80"), r + r + r);          // surrogate
  EXPECT_EQ(replace_invalid_utf8("\xf4\x90\x80\x80"), r + r + r + r);  // beyond U+10FFFF
  EXPECT_EQ(replace_invalid_utf8("\xf5\x80"), r + r);
}

TEST(Utf8, FindsAnUnfinishedEnd) {
  EXPECT_EQ(incomplete_utf8_tail(""), 0u);
  EXPECT_EQ(incomplete_utf8_tail("abc"), 0u);
  EXPECT_EQ(incomplete_utf8_tail("a\xc3"), 1u);
  EXPECT_EQ(incomplete_utf8_tail("a\xc3\xa9"), 0u);
  EXPECT_EQ(incomplete_utf8_tail("a\xf0\x9f\x98"), 3u);
  EXPECT_EQ(incomplete_utf8_tail("\xe2\x82"), 2u);
  EXPECT_EQ(incomplete_utf8_tail("\xed\xa0"), 0u);  // can only become a surrogate
  EXPECT_EQ(incomplete_utf8_tail("\x80\x80\x80\x80"), 0u);
}

TEST(Utf8, ChecksLongTextsThroughout) {
  for (size_t length = 1; length < 40; ++length) {
    for (size_t place = 0; place < length; ++place) {
      std::string text(length, 'a');
      EXPECT_TRUE(is_valid_utf8(text));
      text[place] = '\xff';
      EXPECT_FALSE(is_valid_utf8(text));
    }
  }
}

TEST(Utf8, KnowsWhiteSpace) {
  int count = 0;
  for (uint32_t c = 0; c < 0x110000; ++c) count += is_white_space(c) ? 1 : 0;
  EXPECT_EQ(count, 25);  // as in Unicode's PropList.txt
  EXPECT_TRUE(is_white_space(0x3000));
  EXPECT_FALSE(is_white_space(0x180e));
  EXPECT_FALSE(is_white_space(0x200b));
}

}  // namespace
}  // namespace borealis
