// The wire format of Protocol Buffers (protobuf.dev, "Encoding"), as far as it takes to look at a
// few fields of a message without its generated code.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace borealis {

struct ProtobufField {
  uint32_t number = 0;
  uint64_t value = 0;      // of a varint or a fixed number
  std::string_view bytes;  // of a string or a message inside; empty for numbers
};

// Calls visit for the fields of `message` in order. False if it is not a message: then some fields
// may have been visited already.
bool for_each_protobuf_field(std::string_view message,
                             const std::function<void(const ProtobufField&)>& visit);

}  // namespace borealis
