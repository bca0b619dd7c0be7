#include "tokenizer/continued_text.h"

#include "tokenizer/small_tokenizers.h"

namespace borealis {
namespace {

using testing::ElementsAre;

std::vector<int32_t> bytes_of(const std::string& text) {
  std::vector<int32_t> ids;
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  return ids;
}

// Every piece that is shown, the last one by finish(); ends with the piece that stops.
std::vector<std::string> pieces(const Tokenizer& tokenizer, const std::vector<int32_t>& prompt,
                                const std::vector<int32_t>& ids,
                                const std::vector<std::string>& stops = {}) {
  ContinuedText text(tokenizer, prompt, stops);
  std::vector<std::string> shown;
  for (const int32_t id : ids) {
    shown.push_back(text.add(id));
    if (text.stopped()) break;
  }
  shown.push_back(text.finish());
  return shown;
}

TEST(ContinuedText, CharactersCutInPiecesAppearWhenTheyAreWhole) {
  const Tokenizer tokenizer = make_tokenizer(small_tokenizer({}));
  EXPECT_THAT(pieces(tokenizer, bytes_of("a"), bytes_of("é🙂b")),
              ElementsAre("", "é", "", "", "", "🙂", "b", ""));
  EXPECT_THAT(pieces(tokenizer, bytes_of("a"), bytes_of("b\xf0\x9f")),
              ElementsAre("b", "", "", "\ufffd"));
}

TEST(ContinuedText, AStopStringCutAcrossTokensAndCharactersIsNotShown) {
  const Tokenizer tokenizer = make_tokenizer(small_tokenizer({{" ", "t"}, {"h", "e"}}));
  const auto ids = tokenizer.encode("so é the end");
  EXPECT_THAT(pieces(tokenizer, bytes_of("a"), ids, {"é th"}),
              ElementsAre("s", "o", " ", "", "", "", "", ""));
  EXPECT_THAT(pieces(tokenizer, bytes_of("a"), tokenizer.encode("the"), {"e t"}),
              ElementsAre("t", "h", "e"));
}

TEST(ContinuedText, ACharacterThatThePromptLeftOpenIsWholeInIt) {
  const Tokenizer tokenizer = make_tokenizer(small_tokenizer({}));
  EXPECT_THAT(pieces(tokenizer, bytes_of("ab\xc3"), bytes_of("\xa9!")), ElementsAre("é", "!", ""));
}

// Metaspace's decoder drops the space in front of a text's first word, not of later ones.
TEST(ContinuedText, TheFirstTokenKeepsItsSpace) {
  json file = small_tokenizer({});
  const json metaspace = {
      {"type", "Metaspace"}, {"replacement", "\u2581"}, {"prepend_scheme", "always"}};
  file["pre_tokenizer"] = file["decoder"] = metaspace;
  file["post_processor"] = nullptr;
  file["model"]["vocab"] = {{"\u2581", 0}, {"\u2581a", 1}, {"a", 2}, {"b", 3}, {"\u2581b", 4}};
  file["model"]["merges"] = json::array({"\u2581 a", "\u2581 b"});
  const Tokenizer tokenizer = make_tokenizer(file);
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{1, 4, 2}), "a ba");
  EXPECT_THAT(pieces(tokenizer, {1}, {4, 2}), ElementsAre(" b", "a", ""));
}

}  // namespace
}  // namespace borealis
