// tokenizer.json texts for tests, small enough to check by hand.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/tokenizer.h"

namespace borealis {

using nlohmann::json;

// Ids 0..255 are the bytes; 256, 257, ... the results of the merges, which are given as bytes; then
// come the added tokens.
inline json small_tokenizer(const std::vector<std::pair<std::string, std::string>>& merges,
                            const std::vector<json>& added = {}) {
  json vocabulary = json::object();
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary[to_byte_level(std::string(1, static_cast<char>(byte)))] = byte;
  }
  int next = 256;
  json spelled = json::array();
  for (const auto& [left, right] : merges) {
    const std::string piece = to_byte_level(left + right);
    if (!vocabulary.contains(piece)) vocabulary[piece] = next++;
    spelled.push_back(to_byte_level(left) + " " + to_byte_level(right));
  }
  json tokens = json::array();
  for (json token : added) {
    token["id"] = next++;
    tokens.push_back(token);
  }
  const json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}};
  return {{"added_tokens", tokens},
          {"normalizer", nullptr},
          {"pre_tokenizer", byte_level},
          {"post_processor", byte_level},
          {"decoder", byte_level},
          {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", spelled}}}};
}

inline Tokenizer make_tokenizer(const json& file) {
  return Tokenizer(parse_tokenizer_json(file.dump(), "test.json"));
}

inline std::string refusal(const std::string& text) {
  try {
    parse_tokenizer_json(text, "test.json");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kData);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("test.json"));
    return error.what();
  }
  return "no error";
}
inline std::string refusal(const json& file) { return refusal(file.dump()); }

}  // namespace borealis
