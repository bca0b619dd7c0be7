#include "tokenizer/stop_text.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tokenizer/utf8.h"

namespace borealis {
namespace {

struct Shown {
  std::string text;
  bool stopped = false;
};

// `text` in pieces of so many characters. No piece may take back what an earlier one showed.
Shown show(const std::string& text, size_t characters, const std::vector<std::string>& stops) {
  StopText stop(stops);
  Shown shown;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    for (size_t c = 0; c < characters && end < text.size(); ++c) {
      end += code_point_at(text, end).length;
    }
    shown.text += stop.add(text.substr(at, end - at));
    EXPECT_TRUE(is_valid_utf8(shown.text));
    at = end;
  }
  shown.stopped = stop.stopped();
  shown.text += stop.finish();
  return shown;
}

void expect(const std::string& text, const std::vector<std::string>& stops,
            const std::string& expected, bool stopped) {
  for (const size_t characters : {1, 2, 3, 4, 7, 100}) {
    const Shown shown = show(text, characters, stops);
    EXPECT_EQ(shown.text, expected) << "in pieces of " << characters;
    EXPECT_EQ(shown.stopped, stopped);
  }
}

TEST(StopText, EndsInFrontOfTheString) {
  expect("one. two. three", {". t"}, "one", true);
  expect("one. two. three", {"three"}, "one. two. ", true);
  expect("one. two. three", {"one"}, "", true);
  expect("one\n\ntwo", {"\n\n"}, "one", true);
}

TEST(StopText, GivesOutAllOfATextThatHasNone) {
  expect("one. two", {}, "one. two", false);
  expect("one. two", {"two."}, "one. two", false);
  expect("ababab", {"abac", "bb"}, "ababab", false);
}

TEST(StopText, RestartsInsideAFailedMatch) {
  expect("aaab", {"aab"}, "a", true);
  expect("ababac!", {"abac"}, "ab", true);
}

TEST(StopText, OfSeveralTheFirstToBeCompleteCounts) {
  expect("xabcd", {"abcd", "bc"}, "xa", true);
  expect("xabc", {"bc", "abc"}, "x", true);  // at the same byte: the longer one
}

TEST(StopText, CharactersOfSeveralBytes) {
  expect("naïve – ça va", {"– ç"}, "naïve ", true);
  expect("naïve – ça va", {"ç "}, "naïve – ça va", false);
  expect("è é", {"é"}, "è ", true);
}

TEST(StopText, HoldsBackOnlyWhatCouldBecomeTheString) {
  StopText stop({"END"});
  EXPECT_EQ(stop.add("the E"), "the ");
  EXPECT_EQ(stop.add("N"), "");
  EXPECT_EQ(stop.add("orm"), "ENorm");
  EXPECT_EQ(stop.add("x EN"), "x ");
  EXPECT_EQ(stop.add("D and more"), "");
  EXPECT_TRUE(stop.stopped());
  EXPECT_EQ(stop.add("more"), "");
  EXPECT_EQ(stop.finish(), "");
}

}  // namespace
}  // namespace borealis
