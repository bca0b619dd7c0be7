// Messages in the wire format of Protocol Buffers (protobuf.dev, "Encoding") without generated
// code: the caller knows the field numbers and types. protobuf_fields.h reads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace borealis {

// Appends fields in the order of its calls. Nothing is left out: a field with the default of its
// type, which other writers omit in proto3, is written.
class ProtobufWriter {
 public:
  ProtobufWriter& integer(uint32_t number, int64_t value);  // int32, int64, uint*, bool, enum
  ProtobufWriter& float32(uint32_t number, float value);
  ProtobufWriter& float64(uint32_t number, double value);
  ProtobufWriter& bytes(uint32_t number, std::string_view value);
  // What is not UTF-8, which readers of a string refuse with the whole message, becomes U+FFFD.
  ProtobufWriter& text(uint32_t number, std::string_view value);
  ProtobufWriter& text_if_any(uint32_t number, std::string_view value);  // not where it is empty
  ProtobufWriter& message(uint32_t number, const ProtobufWriter& value);

  const std::string& encoded() const { return encoded_; }

 private:
  void varint(uint64_t value);
  void key(uint32_t number, uint8_t wire_type);

  std::string encoded_;
};

}  // namespace borealis
