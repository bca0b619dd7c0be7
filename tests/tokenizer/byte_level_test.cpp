#include "tokenizer/byte_level.h"

#include <gtest/gtest.h>

#include <set>

namespace borealis {
namespace {

TEST(ByteLevel, GivesEveryByteACharacterOfItsOwn) {
  std::set<uint32_t> seen;
  for (int byte = 0; byte < 256; ++byte) {
    seen.insert(byte_level_code_point(static_cast<uint8_t>(byte)));
    const std::string bytes(1, static_cast<char>(byte));
    EXPECT_EQ(from_byte_level(to_byte_level(bytes)), bytes);
  }
  EXPECT_EQ(seen.size(), 256u);
  EXPECT_EQ(*seen.begin(), 0x21u);
  EXPECT_EQ(*seen.rbegin(), 0x143u);
}

TEST(ByteLevel, SpellsAsGpt2Does) {
  EXPECT_EQ(to_byte_level(" the\n"), "\u0120the\u010a");
  EXPECT_EQ(to_byte_level("\u00e9"), "\u00c3\u00a9");
  EXPECT_EQ(to_byte_level(std::string("\0\xad\x7f", 3)), "\u0100\u0143\u0121");
}

TEST(ByteLevel, RefusesOtherCharacters) {
  EXPECT_EQ(from_byte_level("a b"), std::nullopt);
  EXPECT_EQ(from_byte_level("\u0144"), std::nullopt);
  EXPECT_EQ(from_byte_level("\u6771"), std::nullopt);
  EXPECT_EQ(from_byte_level("\xff"), std::nullopt);
  EXPECT_EQ(from_byte_level(""), "");
}

}  // namespace
}  // namespace borealis
