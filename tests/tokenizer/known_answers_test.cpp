// Known answers of released tokenizers, where their files are at hand.
#include <filesystem>

#include "support/paths.h"
#include "tokenizer/small_tokenizers.h"

namespace borealis {
namespace {

using ::testing::ElementsAreArray;

class KnownAnswers : public ::testing::Test {
 protected:
  static std::filesystem::path folder(const char* name) {
    return std::filesystem::path(BOREALIS_SOURCE_DIR) / "../shared/tokenizers" / name;
  }
  static bool is_there(const char* name) {
    return std::filesystem::exists(folder(name) / "tokenizer.json");
  }
  static void expect(const Tokenizer& tokenizer, const std::string& text,
                     const std::vector<int32_t>& ids) {
    EXPECT_THAT(tokenizer.encode(text), ElementsAreArray(ids)) << text;
    EXPECT_EQ(tokenizer.decode(ids, /*skip_special=*/false), text);
  }
};

TEST_F(KnownAnswers, Llama3) {
  if (!is_there("llama-3")) GTEST_SKIP() << "no Llama 3 tokenizer at " << folder("llama-3");
  const Tokenizer tokenizer(folder("llama-3"));
  EXPECT_EQ(tokenizer.vocab_size(), 128256);
  EXPECT_EQ(tokenizer.token_id("<|begin_of_text|>"), 128000);
  expect(tokenizer, "Hello world", {9906, 1917});
  expect(tokenizer, " Hello  world", {22691, 220, 1917});
  expect(tokenizer, "don't WE'LL", {15357, 956, 20255, 6, 4178});
  expect(tokenizer, "price: $1234567.89, 50%",
         {6692, 25, 400, 4513, 10961, 22, 13, 4578, 11, 220, 1135, 4});
  expect(tokenizer, "\U0001F44D\U0001F3FD", {9468, 239, 235, 9468, 237, 121});
  expect(tokenizer, "na\u00efve caf\u00e9 \u2014 \u6771\u4eac\u90fd",
         {3458, 38672, 588, 53050, 2001, 104932, 108931});
  expect(tokenizer, "    indented\n        more", {262, 1280, 16243, 198, 286, 810});
}

TEST_F(KnownAnswers, Gemma) {
  if (!is_there("gemma-7b")) GTEST_SKIP() << "no Gemma tokenizer at " << folder("gemma-7b");
  const Tokenizer tokenizer(folder("gemma-7b"));
  EXPECT_EQ(tokenizer.vocab_size(), 256000);
  EXPECT_EQ(tokenizer.token_id("\u2581"), 235248);
  EXPECT_EQ(tokenizer.token_id("<0xFF>"), 472);
  EXPECT_TRUE(tokenizer.is_special(2));
  expect(tokenizer, "Hello world", {4521, 2134});
  expect(tokenizer, " Hello  world", {25957, 139, 9097});
  expect(tokenizer, "a\tb\n\nc\r\n", {235250, 226, 235268, 109, 235260, 235316, 108});
  expect(tokenizer, "price: $1234567.89, 50%",
         {7545, 235292, 697, 235274, 235284, 235304, 235310, 235308, 235318, 235324, 235265, 235321,
          235315, 235269, 235248, 235308, 235276, 235358});
  expect(tokenizer, "na\u00efve caf\u00e9 \u2014 \u6771\u4eac\u90fd",
         {556, 236370, 524, 18688, 2062, 201202});
  expect(tokenizer, "\U0001F44D\U0001F3FD", {237019, 239518});
  expect(tokenizer, "<bos>x<eos>", {2, 235297, 1});
  expect(tokenizer, "    indented\n        more", {141, 767, 3872, 108, 145, 4702});
  expect(tokenizer, std::string(1, '\0'), {217});
  EXPECT_THAT(tokenizer.encode_document("Hello world"), ::testing::ElementsAre(2, 4521, 2134));
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{2, 4521, 2134, 1}), "Hello world");
}

}  // namespace
}  // namespace borealis
