// How a field of an encoded message is laid out: the low three bits of its key
// (https://protobuf.dev/programming-guides/encoding/#structure).
#pragma once

#include <cstdint>

namespace borealis {

enum ProtobufWireType : uint8_t { kVarint = 0, kFixed64 = 1, kLengthPrefixed = 2, kFixed32 = 5 };

}  // namespace borealis
