#include "tokenizer/piece_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace borealis {
namespace {

using Step = DecoderStep::Kind;
using ::testing::ElementsAre;

DecoderStep step(Step kind, const std::string& pattern = "", const std::string& content = "") {
  DecoderStep made;
  made.kind = kind;
  made.pattern = pattern;
  made.content = content;
  return made;
}

DecoderStep strip(const std::string& character, size_t left, size_t right) {
  DecoderStep made = step(Step::kStrip, character);
  made.strip_left = left;
  made.strip_right = right;
  return made;
}

// What comes out after each token, and at the end.
std::vector<std::string> parts(const std::vector<DecoderStep>& steps,
                               const std::vector<std::string>& tokens) {
  PieceDecoder decoder(steps);
  std::vector<std::string> out;
  for (const std::string& token : tokens) out.push_back(decoder.add(token));
  out.push_back(decoder.finish());
  EXPECT_EQ(decoder.finish(), "");  // as new
  return out;
}

TEST(PieceDecoder, JoinsWithSpacesWithoutADecoder) {
  EXPECT_THAT(parts({}, {"a", "b"}), ElementsAre("a", " b", ""));
}

TEST(PieceDecoder, WaitsForTheEndOfARunOfByteTokens) {
  const std::vector<DecoderStep> steps = {step(Step::kByteFallback), step(Step::kFuse)};
  EXPECT_THAT(parts(steps, {"a", "<0xE6>", "<0x9d>", "<0xB1>", "b"}),
              ElementsAre("a", "", "", "", "\u6771b", ""));
  // One byte too many spoils the run: a U+FFFD for each.
  EXPECT_THAT(parts(steps, {"<0xE6>", "<0x9D>", "<0xB1>", "<0xFF>"}),
              ElementsAre("", "", "", "", "\ufffd\ufffd\ufffd\ufffd"));
  EXPECT_THAT(parts(steps, {"<0x4>", "<0x+1>", "<0xGG>"}),
              ElementsAre("<0x4>", "", std::string("\x01<0xGG>"), ""));
}

TEST(PieceDecoder, StripsTheWholeTextOnceItIsFused) {
  EXPECT_THAT(parts({strip(" ", 1, 0)}, {"  a", " b"}), ElementsAre(" a", "b", ""));
  EXPECT_THAT(parts({step(Step::kFuse), strip(" ", 2, 0)}, {" ", "  a", " b"}),
              ElementsAre("", " a", " b", ""));
  EXPECT_THAT(parts({step(Step::kFuse), strip(" ", 0, 1)}, {"a ", " ", "b  "}),
              ElementsAre("a", " ", " b ", ""));
}

TEST(PieceDecoder, ReplacesAcrossTokensOnceTheyAreFused) {
  const DecoderStep replace = step(Step::kReplace, "abc", "_");
  EXPECT_THAT(parts({replace}, {"ab", "c abc"}), ElementsAre("ab", "c _", ""));
  EXPECT_THAT(parts({step(Step::kFuse), replace}, {"xab", "c ab", "d", "abca"}),
              ElementsAre("x", "_ ", "abd", "_", "a"));
}

TEST(PieceDecoder, TreatsTheFirstTokenOfMetaspaceApart) {
  DecoderStep metaspace = step(Step::kMetaspace, "\u2581");
  EXPECT_THAT(parts({metaspace}, {"\u2581a", "\u2581b"}), ElementsAre(" a", " b", ""));
  metaspace.strip_first = true;
  EXPECT_THAT(parts({metaspace}, {"\u2581a\u2581", "\u2581b"}), ElementsAre("a", " b", ""));
}

TEST(PieceDecoder, GathersBytesToCharacters) {
  EXPECT_THAT(parts({step(Step::kByteLevel)}, {"\u0120a\u00c3", "\u00a9", "\u00e6", "x"}),
              ElementsAre(" a", "\u00e9", "", "\ufffdx", ""));
  // A token outside the alphabet is taken as it is.
  EXPECT_THAT(parts({step(Step::kByteLevel)}, {"\u6771 \u00e9"}), ElementsAre("\u6771 \u00e9", ""));
}

}  // namespace
}  // namespace borealis
