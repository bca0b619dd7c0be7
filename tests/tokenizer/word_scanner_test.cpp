#include "tokenizer/word_scanner.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "tokenizer/utf8.h"
#include "tokenizer/word_splitter.h"

namespace borealis {
namespace {

const std::string kQwen2 = [] {
  std::string pattern = kLlama3WordPattern;
  pattern.replace(pattern.find("{1,3}"), 5, "");
  return pattern;
}();

// Characters of every class, what the expressions name, and what folds to it.
std::string random_text(std::mt19937& random) {
  const std::vector<uint32_t> points = {
      ' ',   ' ',    '\n', '\r', '\t',   '\'', '\'', 's',    't',   'R',    'e',     'v',
      'E',   'm',    'L',  'l',  'd',    'D',  'x',  '1',    '9',   '.',    '$',     '_',
      0x17f, 0x212a, 0xa0, 0x85, 0x3000, 0xe9, 0xbd, 0x2165, 0x301, 0x6771, 0x1f44d, 0x200d};
  std::string text;
  for (size_t length = random() % 24; length > 0; --length) {
    append_utf8(text, points[random() % points.size()]);
  }
  return text;
}

std::vector<std::string> scanned(const WordScanner& scanner, const std::string& text) {
  std::vector<std::string> words;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = scanner.word_end(text, begin);
    words.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return words;
}

std::vector<std::string> matched(const WordSplitter& splitter, const std::string& text) {
  WordSplitter::Matcher matcher;
  std::vector<std::string> words;
  splitter.split(text, matcher, [&](std::string_view word) { words.emplace_back(word); });
  return words;
}

TEST(WordScanner, GivesTheWordsOfTheExpression) {
  std::mt19937 random(5);
  for (const std::string& pattern :
       {std::string(kGpt2WordPattern), std::string(kLlama3WordPattern), kQwen2}) {
    const auto scanner = WordScanner::for_pattern(pattern);
    ASSERT_TRUE(scanner.has_value()) << pattern;
    // A group around it makes the expression unknown to the scanner and changes nothing else.
    const WordSplitter splitter("(?:" + pattern + ")");
    for (int round = 0; round < 4000; ++round) {
      const std::string text = random_text(random);
      EXPECT_EQ(scanned(*scanner, text), matched(splitter, text)) << text;
    }
  }
}

TEST(WordScanner, KnowsTheExpressionsOnlyAsTheyAre) {
  EXPECT_FALSE(WordScanner::for_pattern("\\p{L}+").has_value());
  EXPECT_FALSE(WordScanner::for_pattern("(?:" + std::string(kGpt2WordPattern) + ")").has_value());
}

TEST(CharClasses, KnowUnicode16) {
  const CharClasses& classes = CharClasses::get();
  for (const uint32_t letter : {0x41, 0xaa, 0xe9, 0x6771, 0x31350, 0x1c8a, 0x10d50}) {
    EXPECT_EQ(classes.of(letter), CharClass::kLetter) << letter;
  }
  for (const uint32_t number : {0x30, 0xbd, 0x2160, 0x10d40, 0x1ccf0}) {
    EXPECT_EQ(classes.of(number), CharClass::kNumber) << number;
  }
  for (const uint32_t space : {0x9, 0x20, 0x85, 0xa0, 0x3000}) {
    EXPECT_EQ(classes.of(space), CharClass::kSpace) << space;
  }
  for (const uint32_t other : {0x0, 0x1c, 0x21, 0x301, 0x180e, 0x200b, 0x1f44d, 0x10ffff}) {
    EXPECT_EQ(classes.of(other), CharClass::kOther) << other;
  }
}

}  // namespace
}  // namespace borealis
