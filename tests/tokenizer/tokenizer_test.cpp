#include "tokenizer/tokenizer.h"

#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "tokenizer/bpe_trainer.h"
#include "tokenizer/small_tokenizers.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const char* const kTexts[] = {
    "the cat sat",
    " two  spaces   three\n\nlines\ttabs \r\n",
    "na\u00efve caf\u00e9 \u2014 \u6771\u4eac\u90fd",
    "\u0645\u0631\u062d\u0628\u0627 \u0928\u092e\u0938\u094d\u0924\u0947",
    "\U0001F44D\U0001F3FD \U0001F468\u200D\U0001F469\u200D\U0001F467 e\u0301",
    "don't WE'LL 1234567.89 50% {code: [1, 2]} //x",
    "\u180e \u3000\u0085\u2028 x",
    ""};

Tokenizer trained(int64_t vocab_size) {
  const WordCounts words = {{"the", 9}, {" the", 9}, {" cat", 8}, {" that", 5}, {" mat", 4}};
  return Tokenizer(train_bpe(words, {.vocab_size = vocab_size}, nullptr));
}

TEST(Tokenizer, DecodesWhatItEncoded) {
  const Tokenizer tokenizer = trained(270);
  for (const char* text : kTexts) EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
  std::string controls;
  for (char c = 0; c < 32; ++c) controls += c;
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(controls)), controls);
}

TEST(Tokenizer, FrequentWordsBecomeOneToken) {
  const Tokenizer tokenizer = trained(270);
  EXPECT_EQ(tokenizer.encode(" the").size(), 1u);
  EXPECT_EQ(tokenizer.encode(" cat").size(), 1u);
  EXPECT_GT(tokenizer.encode(" zebra").size(), 3u);
}

TEST(Tokenizer, RepairsInvalidUtf8LikePython) {
  const Tokenizer tokenizer = trained(257);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("a\xff\xe2\x82z")), "a\ufffd\ufffdz");
}

TEST(Tokenizer, EncodesTheSameWithAWarmEncoder) {
  const Tokenizer tokenizer = trained(270);
  TokenEncoder encoder(tokenizer);
  for (int round = 0; round < 3; ++round) {
    for (const char* text : kTexts) {
      std::vector<int32_t> ids;
      encoder.encode(text, ids);
      EXPECT_EQ(ids, tokenizer.encode(text));
    }
  }
}

TEST(Tokenizer, FindsAddedTokens) {
  const Tokenizer tokenizer =
      make_tokenizer(small_tokenizer({}, {{{"content", "<|endoftext|>"}, {"special", true}},
                                          {{"content", "<a>"}},
                                          {{"content", "<a><a>"}}}));
  EXPECT_EQ(tokenizer.end_of_text(), 256);
  EXPECT_THAT(tokenizer.encode("x<|endoftext|>y<|endoftext|>"), ElementsAre('x', 256, 'y', 256));
  EXPECT_THAT(tokenizer.encode("<a><a><a><a"), ElementsAre(258, 257, '<', 'a'));  // longest
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{'x', 256, 257}), "x<a>");
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{'x', 256, 257}, /*skip_special=*/false),
            "x<|endoftext|><a>");
  EXPECT_EQ(tokenizer.vocab_size(), 259);
  EXPECT_EQ(tokenizer.token_id("<a>"), 257);
  EXPECT_EQ(tokenizer.token_id("<b>"), std::nullopt);
  EXPECT_TRUE(tokenizer.is_special(256));
  EXPECT_FALSE(tokenizer.is_special(257));
}

TEST(Tokenizer, GivesAnAddedTokenThatIsAPieceThePiecesId) {
  const Tokenizer tokenizer =
      make_tokenizer(small_tokenizer({{"a", "b"}}, {{{"content", "ab"}, {"special", true}}}));
  EXPECT_THAT(tokenizer.encode("xab"), ElementsAre('x', 256));
  EXPECT_TRUE(tokenizer.is_special(256));
}

TEST(Tokenizer, HonoursTheFlagsOfAddedTokens) {
  const Tokenizer tokenizer =
      make_tokenizer(small_tokenizer({}, {{{"content", "<l>"}, {"lstrip", true}},
                                          {{"content", "<r>"}, {"rstrip", true}},
                                          {{"content", "ab"}, {"single_word", true}},
                                          {{"content", "cd"}, {"normalized", true}},
                                          {{"content", "d<"}}}));
  EXPECT_THAT(tokenizer.encode("x \u3000\n<l> y"), ElementsAre('x', 256, ' ', 'y'));
  EXPECT_THAT(tokenizer.encode("x <r>\t y"), ElementsAre('x', ' ', 257, 'y'));
  EXPECT_THAT(tokenizer.encode("ab-ab"), ElementsAre(258, '-', 258));
  EXPECT_THAT(tokenizer.encode("abc"), ElementsAre('a', 'b', 'c'));
  EXPECT_THAT(tokenizer.encode("\u00e9ab"), ElementsAre(0xc3, 0xa9, 'a', 'b'));
  // Those that are not normalized are searched first, wherever they stand.
  EXPECT_THAT(tokenizer.encode("cd<cd"), ElementsAre('c', 260, 259));
}

TEST(Tokenizer, AddsWhatTheTemplateSays) {
  json file = small_tokenizer({}, {{{"content", "<s>"}}, {{"content", "</s>"}}});
  file["post_processor"] = json::parse(R"({"type": "Sequence", "processors": [
      {"type": "ByteLevel"},
      {"type": "TemplateProcessing",
       "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                  {"SpecialToken": {"id": "</s>", "type_id": 0}}],
       "pair": [],
       "special_tokens": {"<s>": {"id": "<s>", "ids": [256], "tokens": ["<s>"]},
                          "</s>": {"id": "</s>", "ids": [257, 257], "tokens": ["</s>", "</s>"]}}}]})");
  const Tokenizer tokenizer = make_tokenizer(file);
  EXPECT_THAT(tokenizer.encode_document("x"), ElementsAre(256, 'x', 257, 257));
  EXPECT_THAT(tokenizer.encode("x"), ElementsAre('x'));
}

TEST(Tokenizer, ChainsPreTokenizers) {
  json file = small_tokenizer({{"1", "2"}, {" ", "x"}, {"y", "z"}});
  EXPECT_THAT(make_tokenizer(file).encode("12 xyz"), ElementsAre(256, 257, 258));
  file["pre_tokenizer"] = json::parse(R"({"type": "Sequence", "pretokenizers": [
      {"type": "Digits", "individual_digits": true},
      {"type": "Split", "pattern": {"String": "y"}, "behavior": "Isolated", "invert": false},
      {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}]})");
  EXPECT_THAT(make_tokenizer(file).encode("12 xyz"), ElementsAre('1', '2', 257, 'y', 'z'));
  file["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", true}};
  EXPECT_THAT(make_tokenizer(file).encode("x"), ElementsAre(257));
  EXPECT_THAT(make_tokenizer(file).encode(" x"), ElementsAre(257));
  file["pre_tokenizer"] = json::parse(R"({"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"Regex": "\\d"}, "behavior": "Removed", "invert": true},
      {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})");
  EXPECT_THAT(make_tokenizer(file).encode("1 2"), ElementsAre('1', '2'));
}

TEST(StreamDecoder, GivesOutWholeCharactersOnly) {
  const Tokenizer tokenizer =
      make_tokenizer(small_tokenizer({}, {{{"content", "<s>"}, {"special", true}}}));
  StreamDecoder decoder(tokenizer);
  std::vector<std::string> parts;
  for (const int32_t id : tokenizer.encode("\u6771a\U0001F44D")) parts.push_back(decoder.add(id));
  EXPECT_THAT(parts, ElementsAre("", "", "\u6771", "a", "", "", "", "\U0001F44D"));
  EXPECT_EQ(decoder.add(256), "");   // special
  EXPECT_EQ(decoder.add(9999), "");  // of a padded vocabulary
  EXPECT_EQ(decoder.add(0xff), "\ufffd");
  EXPECT_EQ(decoder.add(0xe6), "");
  EXPECT_EQ(decoder.add('b'),
            "\ufffd"
            "b");
  EXPECT_EQ(decoder.add(0xe6), "");
  EXPECT_EQ(decoder.finish(), "\ufffd");
  EXPECT_EQ(decoder.finish(), "");
}

class TokenizerFolderTest : public ::testing::Test {
 protected:
  TokenizerFolderTest() { borealis::create_directories(folder_); }
  ~TokenizerFolderTest() override { std::filesystem::remove_all(folder_); }
  void write(const char* name, const std::string& text) {
    write_file_atomically(folder_ / name, text);
  }
  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("borealis-tokenizer-" + std::to_string(::getpid()));
};

TEST_F(TokenizerFolderTest, TakesTheEndOfTextFromTheConfiguration) {
  write("tokenizer.json",
        small_tokenizer({}, {{{"content", "<|endoftext|>"}}, {{"content", "<stop>"}}}).dump());
  EXPECT_EQ(Tokenizer(folder_).end_of_text(), 256);
  write("tokenizer_config.json", R"({"eos_token": "<stop>"})");
  EXPECT_EQ(Tokenizer(folder_).end_of_text(), 257);
  EXPECT_EQ(Tokenizer(folder_ / "tokenizer.json").end_of_text(), 257);
  write("tokenizer_config.json", R"({"eos_token": {"content": "<stop>"}})");
  EXPECT_EQ(Tokenizer(folder_).end_of_text(), 257);
  write("tokenizer_config.json", R"({"eos_token": null})");
  EXPECT_EQ(Tokenizer(folder_).end_of_text(), 256);
  write("tokenizer_config.json", "nonsense");
  EXPECT_THROW(Tokenizer{folder_}, Error);
}

TEST_F(TokenizerFolderTest, NamesAMissingFile) {
  try {
    Tokenizer tokenizer(folder_);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kFile);
    EXPECT_THAT(error.what(), HasSubstr("tokenizer.json does not exist"));
  }
}

}  // namespace
}  // namespace borealis
