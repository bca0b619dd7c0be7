#include "base/protobuf_fields.h"

#include <optional>

#include "base/protobuf_wire_type.h"

namespace borealis {
namespace {

std::optional<uint64_t> take_varint(std::string_view& rest) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && !rest.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(rest.front());
    rest.remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

std::optional<std::string_view> take_bytes(std::string_view& rest, uint64_t count) {
  if (count > rest.size()) return std::nullopt;
  const std::string_view bytes = rest.substr(0, count);
  rest.remove_prefix(count);
  return bytes;
}

uint64_t little_endian(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = (value << 8) | static_cast<uint8_t>(bytes[i]);
  return value;
}

// False if the wire type is none of those in use, or the bytes end too early.
bool take_content(std::string_view& rest, uint8_t type, ProtobufField& field) {
  if (type == kVarint) {
    const auto value = take_varint(rest);
    field.value = value.value_or(0);
    return value.has_value();
  }
  if (type == kFixed64 || type == kFixed32) {
    const auto bytes = take_bytes(rest, type == kFixed64 ? 8 : 4);
    if (bytes) field.value = little_endian(*bytes);
    return bytes.has_value();
  }
  if (type != kLengthPrefixed) return false;
  const auto length = take_varint(rest);
  const auto bytes = length ? take_bytes(rest, *length) : std::nullopt;
  if (bytes) field.bytes = *bytes;
  return bytes.has_value();
}

}  // namespace

bool for_each_protobuf_field(std::string_view message,
                             const std::function<void(const ProtobufField&)>& visit) {
  while (!message.empty()) {
    const auto key = take_varint(message);
    if (!key || (*key >> 3) == 0 || (*key >> 3) > 0x1FFFFFFF) return false;
    ProtobufField field{.number = static_cast<uint32_t>(*key >> 3), .value = 0, .bytes = {}};
    if (!take_content(message, static_cast<uint8_t>(*key & 7), field)) return false;
    visit(field);
  }
  return true;
}

}  // namespace borealis
