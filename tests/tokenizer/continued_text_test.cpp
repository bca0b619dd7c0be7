#include "tokenizer/continued_text.h"

#include "tokenizer/number_engine.h"
#include "tokenizer/small_tokenizers.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;

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
    shown.push_back(text.add(id).text);
    if (text.stopped()) break;
  }
  shown.push_back(text.finish().text);
  return shown;
}

// All that is shown, the prompt's text in front.
std::string whole_text(const Tokenizer& tokenizer, const std::vector<int32_t>& prompt,
                       const std::vector<int32_t>& ids) {
  ContinuedText text(tokenizer, prompt, {});
  std::string shown = text.start();
  const auto put = [&](const ContinuedText::Piece& piece) {
    shown += piece.of_prompt + piece.text;
  };
  for (const int32_t id : ids) put(text.add(id));
  put(text.finish());
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
  EXPECT_EQ(whole_text(tokenizer, {1}, {4, 2}), "a ba");
}

TEST(ContinuedText, NumbersKeepTheirDistance) {
  const Tokenizer tokenizer(std::make_unique<NumberEngine>(400), {});
  EXPECT_EQ(whole_text(tokenizer, {1, 2, 3}, {65, 9, 4}), "1 2 3 65 9 4");
  EXPECT_THAT(pieces(tokenizer, {1, 2, 3}, {65, 9}), ElementsAre(" 65", " 9", ""));
}

// What stands for a run of byte tokens is certain at its end alone: a byte behind the prompt's last
// character makes replacements of that, too.
TEST(ContinuedText, AllPiecesTogetherAreTheTextOfAllIds) {
  json file = small_tokenizer({});
  file["pre_tokenizer"] = nullptr;
  file["post_processor"] = nullptr;
  file["decoder"] = {{"type", "ByteFallback"}};
  file["model"]["byte_fallback"] = true;
  file["model"]["vocab"] = {{"a", 0}, {"<0xC3>", 1}, {"<0xA9>", 2}, {"b", 3}};
  const Tokenizer tokenizer = make_tokenizer(file);
  using Ids = std::vector<int32_t>;
  for (const Ids& prompt : {Ids{0, 1, 2}, Ids{0, 1}, Ids{0}, Ids{1, 2, 0}, Ids{2}}) {
    for (const Ids& ids : {Ids{3}, Ids{1, 0}, Ids{2, 3}, Ids{1, 2}, Ids{}, Ids{2, 1, 2, 0}}) {
      Ids all = prompt;
      all.insert(all.end(), ids.begin(), ids.end());
      EXPECT_EQ(whole_text(tokenizer, prompt, ids), tokenizer.decode(all));
    }
  }
}

}  // namespace
}  // namespace borealis
