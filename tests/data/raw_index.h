// An .idx file for tests to damage.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace borealis {

// An .idx byte by byte, so that a test can damage any field of it.
struct RawIndex {
  std::string magic = std::string("MMIDIDX\0\0", 9);
  uint64_t version = 1;
  uint8_t dtype = 8;
  std::vector<int32_t> lengths = {3, 0, 4};
  std::vector<int64_t> offsets = {0, 6, 6};
  std::vector<int64_t> documents = {0, 1, 2, 3};
  std::optional<uint64_t> announced_sequences;
  std::optional<uint64_t> announced_documents;
  std::string tail;

  std::string bytes() const {
    std::string out = magic;
    const auto put = [&out](const auto& value) {
      out.append(reinterpret_cast<const char*>(&value), sizeof value);
    };
    put(version);
    put(dtype);
    put(announced_sequences.value_or(lengths.size()));
    put(announced_documents.value_or(documents.size()));
    for (const auto value : lengths) put(value);
    for (const auto value : offsets) put(value);
    for (const auto value : documents) put(value);
    return out + tail;
  }
};

}  // namespace borealis
