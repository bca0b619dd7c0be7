#include "base/protobuf_writer.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/protobuf_fields.h"

namespace borealis {
namespace {

// The examples of the format's description.
TEST(ProtobufWriter, WritesTheExamplesOfTheFormat) {
  EXPECT_EQ(ProtobufWriter().integer(1, 150).encoded(), "\x08\x96\x01");
  EXPECT_EQ(ProtobufWriter().text(2, "testing").encoded(), "\x12\x07testing");
  EXPECT_EQ(ProtobufWriter().message(3, ProtobufWriter().integer(1, 150)).encoded(),
            "\x1a\x03\x08\x96\x01");
  EXPECT_EQ(ProtobufWriter().float32(5, 1.5F).encoded(), std::string("\x2d\0\0\xc0\x3f", 5));
  EXPECT_EQ(ProtobufWriter().float64(1, 1.5).encoded(), std::string("\x09\0\0\0\0\0\0\xf8\x3f", 9));
}

TEST(ProtobufWriter, WritesDefaultsAndNegativeNumbers) {
  EXPECT_EQ(ProtobufWriter().integer(1, 0).encoded(), std::string("\x08\0", 2));
  EXPECT_EQ(ProtobufWriter().message(18, {}).encoded(), std::string("\x92\x01\0", 3));
  EXPECT_EQ(ProtobufWriter().text_if_any(2, "").encoded(), "");
  EXPECT_EQ(ProtobufWriter().integer(1, -1).encoded(),
            "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
}

TEST(ProtobufWriter, TextIsUtf8) {
  EXPECT_EQ(ProtobufWriter().text(2, "a\xff").encoded(),
            "\x12\x04"
            "a\xEF\xBF\xBD");
  EXPECT_EQ(ProtobufWriter().bytes(2, "a\xff").encoded(),
            "\x12\x02"
            "a\xff");
}

TEST(ProtobufWriter, IsReadBack) {
  const std::string message = ProtobufWriter()
                                  .integer(200, std::numeric_limits<int64_t>::max())
                                  .bytes(7, std::string(300, 'x'))
                                  .encoded();
  std::string seen;
  EXPECT_TRUE(for_each_protobuf_field(message, [&](const ProtobufField& field) {
    seen += std::to_string(field.number) + ":" + std::to_string(field.value) + ":" +
            std::to_string(field.bytes.size()) + " ";
  }));
  EXPECT_EQ(seen, "200:9223372036854775807:0 7:0:300 ");
}

}  // namespace
}  // namespace borealis
