#include "base/protobuf_writer.h"

#include <bit>

#include "base/little_endian.h"
#include "base/protobuf_wire_type.h"
#include "base/text.h"

namespace borealis {
void ProtobufWriter::varint(uint64_t value) {
  for (; value >= 0x80; value >>= 7) encoded_ += static_cast<char>((value & 0x7F) | 0x80);
  encoded_ += static_cast<char>(value);
}

void ProtobufWriter::key(uint32_t number, uint8_t wire_type) {
  varint((uint64_t{number} << 3) | wire_type);
}

ProtobufWriter& ProtobufWriter::integer(uint32_t number, int64_t value) {
  key(number, kVarint);
  varint(static_cast<uint64_t>(value));
  return *this;
}

ProtobufWriter& ProtobufWriter::float32(uint32_t number, float value) {
  key(number, kFixed32);
  append_little_endian(encoded_, std::bit_cast<uint32_t>(value), 4);
  return *this;
}

ProtobufWriter& ProtobufWriter::float64(uint32_t number, double value) {
  key(number, kFixed64);
  append_little_endian(encoded_, std::bit_cast<uint64_t>(value), 8);
  return *this;
}

ProtobufWriter& ProtobufWriter::bytes(uint32_t number, std::string_view value) {
  key(number, kLengthPrefixed);
  varint(value.size());
  encoded_ += value;
  return *this;
}

ProtobufWriter& ProtobufWriter::text(uint32_t number, std::string_view value) {
  return bytes(number, clean_utf8(value));
}

ProtobufWriter& ProtobufWriter::text_if_any(uint32_t number, std::string_view value) {
  return value.empty() ? *this : text(number, value);
}

ProtobufWriter& ProtobufWriter::message(uint32_t number, const ProtobufWriter& value) {
  return bytes(number, value.encoded_);
}

}  // namespace borealis
