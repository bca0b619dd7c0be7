#include "tokenizer/bpe_model.h"

#include <map>
#include <random>

#include "tokenizer/small_tokenizers.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;

std::vector<int32_t> encode_word(const BpeModel& model, std::string_view word) {
  BpeModel::Scratch scratch;
  std::vector<int32_t> ids;
  model.encode_word(word, scratch, ids);
  return ids;
}

BpeModel model_of(const json& file) {
  return BpeModel(parse_tokenizer_json(file.dump(), "test.json"));
}

TEST(BpeModel, MergesTheLowestRankFirst) {
  const BpeModel model = model_of(small_tokenizer({{"b", "c"}, {"a", "b"}, {"a", "bc"}}));
  EXPECT_THAT(encode_word(model, "abc"), ElementsAre(258));
  EXPECT_THAT(encode_word(model, "abx"), ElementsAre(257, 'x'));
  EXPECT_THAT(encode_word(model, ""), ElementsAre());
}

TEST(BpeModel, MergesTheLeftmostOfEquals) {
  const BpeModel model = model_of(small_tokenizer({{"a", "a"}}));
  EXPECT_THAT(encode_word(model, "aaa"), ElementsAre(256, 'a'));
  EXPECT_THAT(encode_word(model, "aaaa"), ElementsAre(256, 256));
}

TEST(BpeModel, KnowsWholeWordsIfMergesAreIgnored) {
  json file = small_tokenizer({{"a", "b"}, {"c", "d"}});
  file["model"]["vocab"]["abcd"] = 258;
  EXPECT_EQ(model_of(file).whole_word("abcd"), PieceTable::kNone);
  EXPECT_THAT(make_tokenizer(file).encode("abcd"), ElementsAre(256, 257));
  file["model"]["ignore_merges"] = true;
  EXPECT_EQ(model_of(file).whole_word("abcd"), 258);
  EXPECT_EQ(model_of(file).whole_word("abc"), PieceTable::kNone);
  EXPECT_THAT(make_tokenizer(file).encode("abcd.abcdx"), ElementsAre(258, '.', 256, 257, 'x'));
  // A word too long for the memory of words is looked up as well.
  const std::string word(100, 'q');
  file["model"]["vocab"][word] = 259;
  EXPECT_THAT(make_tokenizer(file).encode(word), ElementsAre(259));
}

TEST(BpeModel, DropsOrMarksBytesWithoutAPiece) {
  json file = small_tokenizer({{"a", "b"}}, {{{"content", "<unk>"}, {"special", true}}});
  file["model"]["vocab"].erase("x");
  EXPECT_THAT(encode_word(model_of(file), "axb"), ElementsAre(256));
  file["model"]["vocab"]["<unk>"] = 257;
  file["model"]["unk_token"] = "<unk>";
  EXPECT_THAT(encode_word(model_of(file), "axxb"), ElementsAre('a', 257, 257, 'b'));
  file["model"]["fuse_unk"] = true;
  EXPECT_THAT(encode_word(model_of(file), "axxbx"), ElementsAre('a', 257, 'b', 257));
}

// The rule word for word: scan all pairs, merge the lowest rank, leftmost first, and start again.
std::vector<int32_t> slow_encode(const TokenizerDefinition& definition, std::string_view word) {
  std::map<std::pair<int32_t, int32_t>, std::pair<size_t, int32_t>> merges;
  for (size_t rank = 0; rank < definition.merges.size(); ++rank) {
    const Merge& merge = definition.merges[rank];
    merges[{merge.left, merge.right}] = {rank, merge.result};
  }
  std::vector<int32_t> ids;
  for (const char byte : word) ids.push_back(static_cast<uint8_t>(byte));
  for (;;) {
    size_t best = merges.size();
    size_t place = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto merge = merges.find({ids[i], ids[i + 1]});
      if (merge != merges.end() && merge->second.first < best) {
        best = merge->second.first;
        place = i;
      }
    }
    if (best == merges.size()) return ids;
    ids[place] = merges[{ids[place], ids[place + 1]}].second;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(place) + 1);
  }
}

TEST(BpeModel, EqualsTheSlowRule) {
  std::mt19937 random(17);
  for (int round = 0; round < 60; ++round) {
    std::vector<std::string> pieces = {"a", "b", "c"};
    std::vector<std::pair<std::string, std::string>> merges;
    for (int i = 0; i < 40; ++i) {
      const std::string left = pieces[random() % pieces.size()];
      const std::string right = pieces[random() % pieces.size()];
      if (std::ranges::find(merges, std::pair(left, right)) != merges.end()) continue;
      merges.emplace_back(left, right);
      pieces.push_back(left + right);
    }
    const auto definition = parse_tokenizer_json(small_tokenizer(merges).dump(), "test.json");
    const BpeModel model(definition);
    for (int i = 0; i < 40; ++i) {
      std::string word(random() % 60, 'a');
      for (char& c : word) c = static_cast<char>('a' + random() % 3);
      EXPECT_EQ(encode_word(model, word), slow_encode(definition, word)) << word;
    }
  }
}

TEST(BpeModel, ManagesAWordOfAMegabyte) {
  const BpeModel model = model_of(small_tokenizer({{"a", "b"}, {"ab", "ab"}, {"abab", "abab"}}));
  std::string word;
  for (int i = 0; i < (1 << 19); ++i) word += "ab";
  EXPECT_EQ(encode_word(model, word).size(), size_t{1} << 17);
}

}  // namespace
}  // namespace borealis
