// SentencePiece-like tokenizers: words are characters, spaces are U+2581, what is unknown falls
// back to byte tokens.
#include <algorithm>
#include <map>
#include <random>

#include "tokenizer/byte_tokens.h"
#include "tokenizer/small_tokenizers.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;

const std::string kSpace = "\u2581";

// Ids 0 and 1 are <unk> and <s>, 2 ... 257 the byte tokens from `first_byte` on, then come the
// characters and the results of the merges in the order in which they are named.
json character_tokenizer(const std::vector<std::string>& characters,
                         const std::vector<std::pair<std::string, std::string>>& merges,
                         int first_byte = 0) {
  json vocabulary = {{"<unk>", 0}, {"<s>", 1}};
  for (int byte = first_byte; byte < 256; ++byte) {
    vocabulary[byte_token(static_cast<uint8_t>(byte))] = 2 + byte;
  }
  int next = 258;
  for (const std::string& character : characters) vocabulary[character] = next++;
  json pairs = json::array();
  for (const auto& [left, right] : merges) {
    if (!vocabulary.contains(left + right)) vocabulary[left + right] = next++;
    pairs.push_back({left, right});
  }
  const json spaces = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpace}};
  const json back = {{"type", "Replace"}, {"pattern", {{"String", kSpace}}}, {"content", " "}};
  return {{"added_tokens", {{{"id", 1}, {"content", "<s>"}, {"special", true}}}},
          {"normalizer", spaces},
          {"decoder",
           {{"type", "Sequence"},
            {"decoders", {back, {{"type", "ByteFallback"}}, {{"type", "Fuse"}}}}}},
          {"model",
           {{"type", "BPE"},
            {"byte_fallback", true},
            {"unk_token", "<unk>"},
            {"vocab", vocabulary},
            {"merges", pairs}}}};
}

TEST(CharacterBpe, StartsFromCharacters) {
  const Tokenizer tokenizer = make_tokenizer(
      character_tokenizer({kSpace, "\u00e9", "a"}, {{kSpace, "\u00e9"}, {"a", kSpace}}));
  EXPECT_THAT(tokenizer.encode("a \u00e9"), ElementsAre(260, 261));
  EXPECT_THAT(tokenizer.encode("a "), ElementsAre(262));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(" a  \u00e9 ")), " a  \u00e9 ");
}

TEST(CharacterBpe, FallsBackToByteTokens) {
  const Tokenizer tokenizer = make_tokenizer(character_tokenizer({"a"}, {}));
  EXPECT_THAT(tokenizer.encode("a\u6771\na"), ElementsAre(258, 0xe8, 0x9f, 0xb3, 12, 258));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("a\u6771\na")), "a\u6771\na");
  EXPECT_THAT(tokenizer.encode("a<s>a"), ElementsAre(258, 1, 258));
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{258, 1, 0xe8}), "a\ufffd");
}

TEST(CharacterBpe, MarksOrDropsWhatIsUnknown) {
  json file = character_tokenizer({"a"}, {}, 0xc0);
  EXPECT_THAT(make_tokenizer(file).encode("azya"), ElementsAre(258, 0, 0, 258));
  file["model"]["fuse_unk"] = true;
  EXPECT_THAT(make_tokenizer(file).encode("azyaz"), ElementsAre(258, 0, 258, 0));
  // Bytes come before an unknown token that is not yet written, as in the library.
  file["model"]["vocab"]["<0x83>"] = 0x85;
  EXPECT_THAT(make_tokenizer(file).encode("az\u00c3a"), ElementsAre(258, 0xc5, 0x85, 0, 258));
  file["model"].erase("unk_token");
  EXPECT_THAT(make_tokenizer(file).encode("azya"), ElementsAre(258, 258));
}

TEST(CharacterBpe, PutsMetaspaceWhereTheSchemeSays) {
  json file = character_tokenizer({kSpace, "a"}, {{kSpace, "a"}});
  file["normalizer"] = nullptr;
  const auto encode = [&](const char* scheme, const char* text) {
    file["pre_tokenizer"] = {
        {"type", "Metaspace"}, {"replacement", kSpace}, {"prepend_scheme", scheme}};
    return make_tokenizer(file).encode(text);
  };
  EXPECT_THAT(encode("always", "a<s>a a"), ElementsAre(260, 1, 260, 260));
  EXPECT_THAT(encode("first", "a<s>a a"), ElementsAre(260, 1, 259, 260));
  EXPECT_THAT(encode("never", "a<s>a a"), ElementsAre(259, 1, 259, 260));
  EXPECT_THAT(encode("always", " a"), ElementsAre(260));
}

TEST(CharacterBpe, SearchesNormalizedTokensInNormalizedText) {
  json file = character_tokenizer({kSpace, "a", "b"}, {});
  file["added_tokens"].push_back({{"id", 261}, {"content", "a b"}, {"normalized", true}});
  const Tokenizer tokenizer = make_tokenizer(file);
  EXPECT_THAT(tokenizer.encode("ba b"), ElementsAre(260, 261));
  EXPECT_THAT(tokenizer.encode("a" + kSpace + "b"), ElementsAre(261));
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{261}), "a b");
}

// Words with merges across every seam, and cuts where there is none.
TEST(CharacterBpe, CutsAWordWithoutChangingItsTokens) {
  std::mt19937 random(23);
  for (int round = 0; round < 40; ++round) {
    std::vector<std::string> pieces = {kSpace, "a", "b", "\u00e9", "\u6771"};
    const std::vector<std::string> characters = pieces;
    std::vector<std::pair<std::string, std::string>> merges;
    for (int i = 0; i < 12; ++i) {
      const std::string left = pieces[random() % pieces.size()];
      const std::string right = pieces[random() % pieces.size()];
      if (std::ranges::find(merges, std::pair(left, right)) != merges.end()) continue;
      merges.emplace_back(left, right);
      pieces.push_back(left + right);
    }
    const json file = character_tokenizer(characters, merges);
    const BpeModel model(parse_tokenizer_json(file.dump(), "test.json"));
    BpeModel::Scratch scratch;
    size_t parts = 0;
    for (int i = 0; i < 60; ++i) {
      std::string word;
      for (size_t length = 1 + random() % 80; length > 0; --length) {
        word += characters[random() % characters.size()];
      }
      std::vector<int32_t> whole;
      std::vector<int32_t> in_parts;
      model.encode_word(word, scratch, whole);
      std::string together;
      model.for_each_part(word, [&](std::string_view part) {
        together += part;
        ++parts;
        model.encode_word(part, scratch, in_parts);
      });
      EXPECT_EQ(together, word);
      EXPECT_EQ(in_parts, whole) << word;
    }
    EXPECT_GT(parts, 60u);  // some words were cut
  }
}

TEST(CharacterBpe, KeepsWordsWholeWhereACutCouldMatter) {
  const auto parts = [](const json& file) {
    size_t count = 0;
    BpeModel(parse_tokenizer_json(file.dump(), "test.json"))
        .for_each_part("ab", [&](std::string_view) { ++count; });
    return count;
  };
  EXPECT_EQ(parts(character_tokenizer({"a", "b"}, {})), 2u);
  EXPECT_EQ(parts(character_tokenizer({"a", "b"}, {{"a", "b"}})), 1u);
  EXPECT_EQ(parts(character_tokenizer({"a", "b"}, {}, 0x20)), 1u);  // unknown ones may be fused
  EXPECT_EQ(parts(character_tokenizer({"a", "b"}, {{"a", "<0x41>"}})), 1u);
  EXPECT_EQ(parts(character_tokenizer({"a", "b"}, {{"<0x41>", "a"}})), 1u);
  json file = character_tokenizer({"a", "b"}, {});
  file["model"]["ignore_merges"] = true;
  EXPECT_EQ(parts(file), 1u);
}

TEST(CharacterBpe, ManagesAMegabyteWithoutASpace) {
  const Tokenizer tokenizer =
      make_tokenizer(character_tokenizer({"a", "b"}, {{"a", "b"}, {"ab", "ab"}, {"b", "a"}}));
  std::string word;
  for (int i = 0; i < (1 << 19); ++i) word += "ab";
  EXPECT_EQ(tokenizer.encode(word).size(), size_t{1} << 18);
}

}  // namespace
}  // namespace borealis
