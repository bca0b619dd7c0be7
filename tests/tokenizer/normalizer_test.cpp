#include "tokenizer/normalizer.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace borealis {
namespace {

using Form = NormalizerStep::Kind;

std::string normalized(const std::vector<NormalizerStep>& steps, const std::string& text) {
  const Normalizer normalizer(steps);
  Normalizer::Buffers buffers;
  return std::string(normalizer.apply(text, buffers));
}

TEST(Normalizer, ReplacesAndPrepends) {
  EXPECT_EQ(normalized({}, "a b"), "a b");
  const NormalizerStep spaces{Form::kReplace, " ", "\u2581"};
  const NormalizerStep prepend{Form::kPrepend, "", "\u2581"};
  EXPECT_EQ(normalized({spaces}, " a  b "), "\u2581a\u2581\u2581b\u2581");
  EXPECT_EQ(normalized({prepend, spaces}, "a b"), "\u2581a\u2581b");
  EXPECT_EQ(normalized({prepend}, ""), "");
  EXPECT_EQ(normalized({{Form::kReplace, "aa", ""}, {Form::kReplace, "b", "bb"}}, "aaaba"), "abba");
  EXPECT_EQ(normalized({{Form::kReplaceRegex, "[0-9]+", "#"}}, "12a3"), "#a#");
  EXPECT_THROW(Normalizer({{Form::kReplaceRegex, "(", ""}}), Error);
}

TEST(Normalizer, GivesUnicodesNormalForms) {
  const std::string text = "e\u0301 \u00e9 \ufb01\u212b \uac00";
  EXPECT_EQ(normalized({{Form::kNfc, "", ""}}, text), "\u00e9 \u00e9 \ufb01\u00c5 \uac00");
  EXPECT_EQ(normalized({{Form::kNfd, "", ""}}, text), "e\u0301 e\u0301 \ufb01A\u030a \u1100\u1161");
  EXPECT_EQ(normalized({{Form::kNfkc, "", ""}}, text), "\u00e9 \u00e9 fi\u00c5 \uac00");
  EXPECT_EQ(normalized({{Form::kNfkd, "", ""}}, text), "e\u0301 e\u0301 fiA\u030a \u1100\u1161");
  EXPECT_EQ(normalized({{Form::kNfc, "", ""}}, "plain \u02ff"), "plain \u02ff");
  EXPECT_EQ(normalized({{Form::kNfkc, "", ""}}, "\u00bd"), "1\u20442");
}

// Marks are ordered by their classes, and one that stands between keeps two apart.
TEST(Normalizer, OrdersAndComposesMarks) {
  EXPECT_EQ(normalized({{Form::kNfd, "", ""}}, "a\u0301\u0323"), "a\u0323\u0301");
  EXPECT_EQ(normalized({{Form::kNfc, "", ""}}, "a\u0301\u0323"), "\u1ea1\u0301");
  EXPECT_EQ(normalized({{Form::kNfc, "", ""}}, "a\u0302\u0301\u0323"), "\u1ead\u0301");
  EXPECT_EQ(normalized({{Form::kNfc, "", ""}}, "a\u030d\u0301"), "a\u030d\u0301");
  EXPECT_EQ(normalized({{Form::kNfc, "", ""}}, "\u0301a"), "\u0301a");
  EXPECT_EQ(normalized({{Form::kNfc, "", ""}}, "\u1100\u1161\u11a8\u11a8"), "\uac01\u11a8");
  EXPECT_EQ(normalized({{Form::kNfd, "", ""}}, "\uac01"), "\u1100\u1161\u11a8");
  EXPECT_EQ(normalized({{Form::kNfc, "", ""}}, "\u09c7\u09be\u0958"), "\u09cb\u0915\u093c");
}

// To the library U+1AC7, of Unicode 14, is no mark that is ordered; U+32FF, of 12.1, is no
// ligature.
TEST(Normalizer, KnowsTheUnicodeOfTheTokenizersLibrary) {
  EXPECT_EQ(normalized({{Form::kNfc, "", ""}}, "a\u1ac7\u1ab9"), "a\u1ac7\u1ab9");
  EXPECT_EQ(normalized({{Form::kNfd, "", ""}}, "a\u0301\u1ab9"), "a\u1ab9\u0301");
  EXPECT_EQ(normalized({{Form::kNfkc, "", ""}}, "\u32ff\u32fe"), "\u32ff\u30f2");
}

}  // namespace
}  // namespace borealis
