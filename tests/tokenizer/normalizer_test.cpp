#include "tokenizer/normalizer.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace borealis {
namespace {

using Kind = NormalizerStep::Kind;

std::string normalized(const std::vector<NormalizerStep>& steps, const std::string& text) {
  const Normalizer normalizer(steps);
  Normalizer::Buffers buffers;
  return std::string(normalizer.apply(text, buffers));
}

TEST(Normalizer, ReplacesAndPrepends) {
  EXPECT_EQ(normalized({}, "a b"), "a b");
  const NormalizerStep spaces{Kind::kReplace, " ", "\u2581"};
  const NormalizerStep prepend{Kind::kPrepend, "", "\u2581"};
  EXPECT_EQ(normalized({spaces}, " a  b "), "\u2581a\u2581\u2581b\u2581");
  EXPECT_EQ(normalized({prepend, spaces}, "a b"), "\u2581a\u2581b");
  EXPECT_EQ(normalized({prepend}, ""), "");
  EXPECT_EQ(normalized({{Kind::kReplace, "aa", ""}, {Kind::kReplace, "b", "bb"}}, "aaaba"), "abba");
  EXPECT_EQ(normalized({{Kind::kReplaceRegex, "[0-9]+", "#"}}, "12a3"), "#a#");
  EXPECT_THROW(Normalizer({{Kind::kReplaceRegex, "(", ""}}), Error);
}

TEST(Normalizer, GivesUnicodesNormalForms) {
  const std::string text = "e\u0301 \u00e9 \ufb01\u212b \uac00";
  EXPECT_EQ(normalized({{Kind::kNfc, "", ""}}, text), "\u00e9 \u00e9 \ufb01\u00c5 \uac00");
  EXPECT_EQ(normalized({{Kind::kNfd, "", ""}}, text), "e\u0301 e\u0301 \ufb01A\u030a \u1100\u1161");
  EXPECT_EQ(normalized({{Kind::kNfkc, "", ""}}, text), "\u00e9 \u00e9 fi\u00c5 \uac00");
  EXPECT_EQ(normalized({{Kind::kNfkd, "", ""}}, text), "e\u0301 e\u0301 fiA\u030a \u1100\u1161");
  EXPECT_EQ(normalized({{Kind::kNfc, "", ""}}, "plain \u02ff"), "plain \u02ff");
  EXPECT_EQ(normalized({{Kind::kNfkc, "", ""}}, "\u00bd"), "1\u20442");
}

}  // namespace
}  // namespace borealis
