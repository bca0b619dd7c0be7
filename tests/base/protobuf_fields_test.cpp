#include "base/protobuf_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace borealis {
namespace {

using ::testing::ElementsAre;

struct Seen {
  bool whole = false;
  std::vector<std::string> fields;  // "number:value:bytes"
};

Seen read(std::string_view message) {
  Seen seen;
  seen.whole = for_each_protobuf_field(message, [&](const ProtobufField& field) {
    seen.fields.push_back(std::to_string(field.number) + ":" + std::to_string(field.value) + ":" +
                          std::string(field.bytes));
  });
  return seen;
}

// The examples of the format's description: field 1 = 150, field 2 = "testing".
TEST(ProtobufFields, ReadsNumbersAndBytes) {
  const Seen seen = read(std::string_view("\x08\x96\x01\x12\x07testing\x1d\x01\x02\0\0", 17));
  EXPECT_TRUE(seen.whole);
  EXPECT_THAT(seen.fields, ElementsAre("1:150:", "2:0:testing", "3:513:"));
  EXPECT_THAT(read(std::string_view("\x09\0\0\0\0\0\0\0\x80", 9)).fields,
              ElementsAre("1:9223372036854775808:"));
  // Ten bytes of a varint are 64 bits: -1 of an int32 is spelled so.
  EXPECT_THAT(read("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").fields,
              ElementsAre("1:18446744073709551615:"));
  EXPECT_TRUE(read("").whole);
}

TEST(ProtobufFields, SaysWhatIsNoMessage) {
  for (const std::string& text :
       {std::string("\x08"), std::string("\x08\x96"), std::string("\x12\x08testing"),
        std::string("\x1d\x01"), std::string("\x09\x01\x02"), std::string("\x0b"),
        std::string("\x0f\x01"), std::string("\0\x01", 2),
        std::string("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        std::string("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x"), std::string("{\"a\": 1}")}) {
    EXPECT_FALSE(read(text).whole) << ::testing::PrintToString(text);
  }
}

}  // namespace
}  // namespace borealis
