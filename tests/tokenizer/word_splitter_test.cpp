#include "tokenizer/word_splitter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> words(const std::string& pattern, const std::string& text,
                               SplitBehavior behavior = SplitBehavior::kIsolated,
                               bool invert = false, bool literal = false) {
  const WordSplitter splitter(pattern, behavior, invert, literal);
  WordSplitter::Matcher matcher;
  std::vector<std::string> out;
  splitter.split(text, matcher, [&](std::string_view word) { out.emplace_back(word); });
  return out;
}

TEST(WordSplitter, SplitsAsGpt2Does) {
  EXPECT_THAT(words(kGpt2WordPattern, "I'm  fine, thanks\n\n 42x\u00e9"),
              ElementsAre("I", "'m", " ", " fine", ",", " thanks", "\n\n", " 42", "x\u00e9"));
  EXPECT_THAT(words(kGpt2WordPattern, ""), ElementsAre());
}

TEST(WordSplitter, KnowsUnicode) {
  EXPECT_THAT(words(kGpt2WordPattern, "\u6771\u4eac \u0660\u00bd \u3000x"),
              ElementsAre("\u6771\u4eac", " \u0660\u00bd", " ", "\u3000", "x"));
  // U+180E is no white space, whatever PCRE2 says; U+0085 is.
  EXPECT_THAT(words("\\s+", "a\u180e\u0085b"), ElementsAre("a\u180e", "\u0085", "b"));
  EXPECT_THAT(words("[^\\s]+", "a\u180e\u0085b"), ElementsAre("a\u180e", "\u0085", "b"));
  EXPECT_THAT(words("\\S+", "a\u180e\u0085b"), ElementsAre("a\u180e", "\u0085", "b"));
  // Case folding: the long s and the Kelvin sign.
  EXPECT_THAT(words("(?i:'s|k)", "'\u017f\u212a-"), ElementsAre("'\u017f", "\u212a", "-"));
}

// U+1FABF and U+1C89 are of Unicode 15 and 16: a symbol and a capital letter; U+323AF is Han.
TEST(WordSplitter, KnowsTheUnicodeOfTheTokenizersLibrary) {
  const std::string text = "a\U0001FABF\u1c89\U000323AFb";
  EXPECT_THAT(words("\\p{S}+", text), ElementsAre("a", "\U0001FABF", "\u1c89\U000323AFb"));
  EXPECT_THAT(words("[\\p{So}x]", text), ElementsAre("a", "\U0001FABF", "\u1c89\U000323AFb"));
  EXPECT_THAT(words("\\P{S}+", text), ElementsAre("a", "\U0001FABF", "\u1c89\U000323AFb"));
  EXPECT_THAT(words("[\\P{S}]+", text), ElementsAre("a", "\U0001FABF", "\u1c89\U000323AFb"));
  EXPECT_THAT(words("[^\\p{^So}]", text), ElementsAre("a", "\U0001FABF", "\u1c89\U000323AFb"));
  EXPECT_THAT(words("\\p{Lu}", text), ElementsAre("a\U0001FABF", "\u1c89", "\U000323AFb"));
  EXPECT_THAT(words("\\p{Han}", text), ElementsAre("a\U0001FABF\u1c89", "\U000323AF", "b"));
  // U+3001 is used with Han, but not of that script; U+10D40 is a digit of Unicode 16.
  EXPECT_THAT(words("\\p{Han}", "\u6771\u3001"), ElementsAre("\u6771", "\u3001"));
  EXPECT_THAT(words("\\d", "x\U00010D40y"), ElementsAre("x", "\U00010D40", "y"));
  EXPECT_THAT(words("\\D+", "x\U00010D40y"), ElementsAre("x", "\U00010D40", "y"));
}

TEST(WordSplitter, PutsMatchesWhereTheBehaviorSays) {
  const auto split = [](SplitBehavior behavior, bool invert) {
    return words(" ", " ab  c", behavior, invert, /*literal=*/true);
  };
  using enum SplitBehavior;
  for (const bool invert : {false, true}) {
    EXPECT_THAT(split(kIsolated, invert), ElementsAre(" ", "ab", " ", " ", "c"));
    EXPECT_THAT(split(kContiguous, invert), ElementsAre(" ", "ab", "  ", "c"));
  }
  EXPECT_THAT(split(kRemoved, false), ElementsAre("ab", "c"));
  EXPECT_THAT(split(kRemoved, true), ElementsAre(" ", " ", " "));
  EXPECT_THAT(split(kMergedWithPrevious, false), ElementsAre(" ", "ab ", " ", "c"));
  EXPECT_THAT(split(kMergedWithPrevious, true), ElementsAre(" ab", " ", " c"));
  EXPECT_THAT(split(kMergedWithNext, false), ElementsAre(" ab", " ", " c"));
  EXPECT_THAT(split(kMergedWithNext, true), ElementsAre(" ", "ab ", " ", "c"));
}

TEST(WordSplitter, CutsAtEmptyMatches) {
  EXPECT_THAT(words("b+", "aabbcbd"), ElementsAre("aa", "bb", "c", "b", "d"));
  EXPECT_THAT(words("q", "none"), ElementsAre("none"));
  EXPECT_THAT(words("(?=[A-Z])", "aBc\u00e9DD"), ElementsAre("a", "Bc\u00e9", "D", "D"));
  EXPECT_THAT(words("x*", "axxb\u00e9"), ElementsAre("a", "xx", "b", "\u00e9"));
}

TEST(WordSplitter, TakesAFixedTextAsItIs) {
  using enum SplitBehavior;
  EXPECT_THAT(words("a.", "xa.aab", kIsolated, false, true), ElementsAre("x", "a.", "aab"));
  EXPECT_THAT(words("a.", "xa.aab", kIsolated, false, false), ElementsAre("x", "a.", "aa", "b"));
}

TEST(WordSplitter, ManagesLongTexts) {
  EXPECT_EQ(words(kGpt2WordPattern, std::string(3 << 20, 'a')).size(), 1u);
  EXPECT_EQ(words(kGpt2WordPattern, std::string(3 << 20, ' ') + "x").size(), 2u);
  EXPECT_EQ(words("\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+", std::string(3 << 20, ' ')).size(), 1u);
}

TEST(WordSplitter, GivesUpOnEndlessBacktracking) {
  try {
    words("(a|a|b)*c", std::string(100, 'a') + "dc");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("expression gave up on a text of 102 bytes"));
  }
  EXPECT_THROW(WordSplitter(std::string(2000, '(') + std::string(2000, ')')), Error);
  EXPECT_THROW(WordSplitter("(((a{1,999}){1,999}){1,999}){1,999}"), Error);
}

TEST(WordSplitter, TranslatesUnicodeEscapes) {
  EXPECT_THAT(words("[\\u0041-\\u0043]+", "xABCy"), ElementsAre("x", "ABC", "y"));
  EXPECT_THAT(words("\\p{Lu}\\p{Ll}*", "AbCd"), ElementsAre("Ab", "Cd"));
}

TEST(WordSplitter, RefusesWhatEnginesReadDifferently) {
  const auto refusal = [](const std::string& pattern) -> std::string {
    try {
      WordSplitter splitter(pattern);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_THAT(refusal("\\w+"), HasSubstr("has \\w, which is not supported"));
  EXPECT_THAT(refusal("\\h"), HasSubstr("has \\h"));
  EXPECT_THAT(refusal("[\\S]"), HasSubstr("has \\S"));
  EXPECT_THAT(refusal("[a[bc]]"), HasSubstr("a class inside a class"));
  EXPECT_THAT(refusal("[a-z&&[aeiou]]"), HasSubstr("intersects classes"));
  EXPECT_THAT(refusal("a{1,3}+"), HasSubstr("repeats an interval"));
  EXPECT_THAT(refusal("a\\pL"), HasSubstr("a property without braces"));
  EXPECT_THAT(refusal("\\p{L"), HasSubstr("unfinished brace"));
  EXPECT_EQ(refusal("\\p{L}+"), "no error");
  EXPECT_THAT(refusal("("), HasSubstr("is wrong"));
  EXPECT_THAT(refusal("a\\"), HasSubstr("ends in a backslash"));
}

}  // namespace
}  // namespace borealis
