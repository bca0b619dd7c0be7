// The chunks and records of a Weights & Biases log, read by the letter of its format.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/crc.h"
#include "telemetry/wandb_log.h"

namespace borealis {

inline constexpr size_t kWandbBlock = 32768;

struct WandbChunk {
  int type = 0;
  size_t offset = 0;
  std::string part;
};

inline uint32_t little_endian(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

// The chunks of a file, read by the letter of the format; checks their sums and their places.
inline std::vector<WandbChunk> chunks_of(std::string_view file) {
  EXPECT_EQ(file.substr(0, 7), kWandbLogHeader);
  std::vector<WandbChunk> chunks;
  size_t at = 7;
  while (at < file.size()) {
    const size_t left = kWandbBlock - at % kWandbBlock;
    if (left < 7) {
      EXPECT_EQ(file.substr(at, left), std::string(left, '\0'));
      at += left;
      continue;
    }
    const size_t length = little_endian(file.substr(at + 4, 2));
    EXPECT_LE(7 + length, left) << "crosses the end of a block";
    EXPECT_EQ(little_endian(file.substr(at, 4)), crc32_ieee(file.substr(at + 6, 1 + length)));
    chunks.push_back({file[at + 6], at, std::string(file.substr(at + 7, length))});
    at += 7 + length;
  }
  return chunks;
}

inline std::vector<std::string> records_of(const std::vector<WandbChunk>& chunks) {
  std::vector<std::string> records;
  for (const WandbChunk& chunk : chunks) {
    if (chunk.type == 1 || chunk.type == 2) records.emplace_back();
    records.back() += chunk.part;
  }
  return records;
}

}  // namespace borealis
