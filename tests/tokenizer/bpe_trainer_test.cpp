#include "tokenizer/bpe_trainer.h"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <random>

#include "base/file.h"
#include "tokenizer/small_tokenizers.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> merged_pieces(const TokenizerDefinition& definition) {
  std::vector<std::string> out;
  for (const Merge& merge : definition.merges) {
    out.push_back(*from_byte_level(definition.pieces[static_cast<size_t>(merge.left)]) + "+" +
                  *from_byte_level(definition.pieces[static_cast<size_t>(merge.right)]));
  }
  return out;
}

TEST(BpeTrainer, MergesTheMostFrequentPairFirst) {
  const WordCounts words = {{"hug", 10}, {"pug", 5}, {"pun", 12}, {"bun", 4}, {"hugs", 5}};
  const auto tokenizer = train_bpe(words, {.vocab_size = 260}, nullptr);
  EXPECT_THAT(merged_pieces(tokenizer), ElementsAre("u+g", "u+n", "h+ug"));
  EXPECT_EQ(tokenizer.pieces.size(), 260u);
  EXPECT_EQ(tokenizer.pieces[0], "<|endoftext|>");
  EXPECT_EQ(tokenizer.pieces[1], "!");  // bytes in the order of their characters
  EXPECT_EQ(tokenizer.pieces[259], "hug");
}

TEST(BpeTrainer, TakesLowerIdsOfEquallyFrequentPairs) {
  EXPECT_THAT(merged_pieces(train_bpe({{"zy", 3}, {"ab", 3}}, {.vocab_size = 259}, nullptr)),
              ElementsAre("a+b", "z+y"));
}

TEST(BpeTrainer, CountsRunsOfOneByte) {
  EXPECT_THAT(merged_pieces(train_bpe({{"aaaaa", 4}}, {.vocab_size = 300}, nullptr)),
              ElementsAre("a+a", "aa+a", "aa+aaa"));
}

// A run of one byte would have pieces of half of it.
TEST(BpeTrainer, PiecesHaveALengthThatVocabulariesCanHold) {
  const auto tokenizer = train_bpe({{std::string(1 << 20, 'a'), 1}}, {.vocab_size = 400}, nullptr);
  size_t longest = 0;
  for (const std::string& piece : tokenizer.pieces) longest = std::max(longest, piece.size());
  EXPECT_EQ(longest, size_t{1} << 16);
  EXPECT_EQ(tokenizer.merges.size(), 16u);
}

TEST(BpeTrainer, StopsWherePairsAreRare) {
  const WordCounts words = {{"ab", 3}, {"cd", 1}};
  EXPECT_THAT(merged_pieces(train_bpe(words, {.vocab_size = 300}, nullptr)), ElementsAre("a+b"));
  EXPECT_THAT(merged_pieces(train_bpe(words, {.vocab_size = 300, .min_frequency = 1}, nullptr)),
              ElementsAre("a+b", "c+d"));
  EXPECT_THAT(merged_pieces(train_bpe(words, {.vocab_size = 300, .min_frequency = 4}, nullptr)),
              ElementsAre());
}

TEST(BpeTrainer, RefusesAVocabularyThatCannotHoldTheBytes) {
  try {
    train_bpe({{"ab", 3}}, {.vocab_size = 256}, nullptr);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    EXPECT_THAT(error.what(), HasSubstr("already make 257"));
  }
  EXPECT_TRUE(train_bpe({{"ab", 3}}, {.vocab_size = 257}, nullptr).merges.empty());
}

// All pairs counted anew before every merge.
std::vector<std::string> slow_train(const WordCounts& counts, int64_t merges) {
  std::vector<std::pair<std::vector<std::string>, int64_t>> words;
  for (const auto& [text, count] : counts) {
    words.emplace_back();
    for (const char byte : text) words.back().first.emplace_back(1, byte);
    words.back().second = count;
  }
  std::map<std::string, int32_t> ids;  // of pieces, in the order in which they came to be
  for (uint32_t byte = 0; byte < 256; ++byte) {
    ids[std::string(1, static_cast<char>(byte))] =
        static_cast<int32_t>(byte_level_code_point(static_cast<uint8_t>(byte)));
  }
  std::vector<std::string> out;
  while (static_cast<int64_t>(out.size()) < merges) {
    std::map<std::pair<int32_t, int32_t>, std::pair<int64_t, std::pair<std::string, std::string>>>
        pairs;
    for (const auto& [pieces, count] : words) {
      for (size_t i = 0; i + 1 < pieces.size(); ++i) {
        auto& entry = pairs[{ids[pieces[i]], ids[pieces[i + 1]]}];
        entry.first += count;
        entry.second = {pieces[i], pieces[i + 1]};
      }
    }
    const auto best = std::ranges::max_element(pairs, std::less(),
                                               [](const auto& pair) { return pair.second.first; });
    if (best == pairs.end() || best->second.first < 2) break;
    const auto [left, right] = best->second.second;
    out.push_back(left + "+" + right);
    ids.emplace(left + right, 1000 + static_cast<int32_t>(ids.size()));
    for (auto& [pieces, count] : words) {
      for (size_t i = 0; i + 1 < pieces.size(); ++i) {
        if (pieces[i] != left || pieces[i + 1] != right) continue;
        pieces[i] += right;
        pieces.erase(pieces.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      }
    }
  }
  return out;
}

TEST(BpeTrainer, EqualsCountingAnew) {
  std::mt19937 random(29);
  for (int round = 0; round < 40; ++round) {
    WordCounts words;
    for (int i = 0; i < 30; ++i) {
      std::string word(1 + random() % 12, 'a');
      for (char& c : word) c = static_cast<char>("abc \xc3"[random() % 5]);
      words[word] += 1 + static_cast<int64_t>(random() % 6);
    }
    const auto trained = train_bpe(words, {.vocab_size = 257 + 20}, nullptr);
    const auto expected = slow_train(words, static_cast<int64_t>(trained.merges.size()));
    EXPECT_EQ(merged_pieces(trained), expected);
    EXPECT_GE(trained.merges.size(), 10u);
  }
}

TEST(BpeTrainer, UsesAPieceThatTwoPairsMakeOnce) {
  // "ab"+"c" and "a"+"bc" both make "abc".
  const WordCounts words = {{"abc", 5},  {"xab", 20}, {"zbc", 4},
                            {"abcq", 3}, {"bc", 9},   {"qabc", 9}};
  const auto tokenizer = train_bpe(words, {.vocab_size = 300}, nullptr);
  std::vector<std::string> pieces = tokenizer.pieces;
  std::ranges::sort(pieces);
  EXPECT_EQ(std::ranges::adjacent_find(pieces), pieces.end());
}

class CountWordsTest : public ::testing::Test {
 protected:
  CountWordsTest() { borealis::create_directories(folder_); }
  ~CountWordsTest() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("borealis-words-" + std::to_string(::getpid()));
};

TEST_F(CountWordsTest, CountsOverFilesAndThreads) {
  write_file_atomically(folder_ / "a.txt", "the cat, the dog\xff");
  std::string lines;
  for (int i = 0; i < 40000; ++i)
    lines += "{\"text\": \"the cat\", \"n\": " + std::to_string(i) + "}\n";
  write_file_atomically(folder_ / "b.jsonl", lines);
  const DocumentFiles files({folder_ / "a.txt", folder_ / "b.jsonl"},
                            {.on_bad_record = BadRecordPolicy::kRepair});
  int64_t last = 0;
  const WordCounts words = count_words(files, 3, [&](int64_t done, int64_t total) {
    EXPECT_GT(done, last);
    EXPECT_LE(done, total);
    last = done;
  });
  EXPECT_EQ(last, files.total_bytes());
  const WordCounts expected = {{"the", 40001}, {" cat", 40001}, {",", 1},
                               {" the", 1},    {" dog", 1},     {"\ufffd", 1}};
  EXPECT_EQ(words, expected);
}

TEST(TokenizerJson, ComesBackAsItWasWritten) {
  const WordCounts words = {{" hug", 10}, {" pug", 5}, {"\u00e9t\u00e9", 12}, {"\n\n", 4}};
  const TokenizerDefinition made = train_bpe(words, {.vocab_size = 270}, nullptr);
  const TokenizerDefinition read = parse_tokenizer_json(tokenizer_json(made), "test.json");
  EXPECT_EQ(read.pieces, made.pieces);
  ASSERT_EQ(read.merges.size(), made.merges.size());
  for (size_t i = 0; i < made.merges.size(); ++i) {
    EXPECT_EQ(read.merges[i].left, made.merges[i].left);
    EXPECT_EQ(read.merges[i].right, made.merges[i].right);
    EXPECT_EQ(read.merges[i].result, made.merges[i].result);
  }
  ASSERT_EQ(read.added_tokens.size(), 1u);
  EXPECT_EQ(read.added_tokens[0].content, "<|endoftext|>");
  EXPECT_TRUE(read.added_tokens[0].special);
  EXPECT_FALSE(read.ignore_merges);
  ASSERT_EQ(read.steps.size(), 1u);
  EXPECT_EQ(read.steps[0].pattern, made.steps[0].pattern);
  const json config = json::parse(tokenizer_config_json(made));
  EXPECT_EQ(config["eos_token"], "<|endoftext|>");
  EXPECT_EQ(config["added_tokens_decoder"]["0"]["content"], "<|endoftext|>");
}

}  // namespace
}  // namespace borealis
