#include "tokenizer/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "tokenizer/bpe_trainer.h"
#include "tokenizer/byte_level.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class TokenizerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("borealis_tokenizer_test_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  Tokenizer trained(int64_t vocab_size = 300) {
    BpeTrainer trainer;
    trainer.add_text("the cat sat on the mat; the cat is fat. That cat, that mat! the the the");
    write_tokenizer(trainer.train(vocab_size), folder_);
    return Tokenizer(folder_);
  }
  std::string refusal(const std::string& json) {
    write_file_atomically(folder_ / "tokenizer.json", json);
    try {
      const Tokenizer tokenizer(folder_);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kData);
      return error.what();
    }
    return "no error";
  }
  fs::path folder_;
};

const char* const kTexts[] = {
    "the cat sat",
    " two  spaces   three\n\nlines\ttabs \r\n",
    "na\u00efve caf\u00e9 \u2014 \u6771\u4eac\u90fd",
    "\u0645\u0631\u062d\u0628\u0627 \u0928\u092e\u0938\u094d\u0924\u0947",
    "\U0001F44D\U0001F3FD \U0001F468\u200D\U0001F469\u200D\U0001F467 e\u0301",
    "don't WE'LL 1234567.89 50% {code: [1, 2]} //x",
    ""};

TEST_F(TokenizerTest, DecodesWhatItEncoded) {
  const Tokenizer tokenizer = trained();
  for (const char* text : kTexts) EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
  std::string controls;
  for (char c = 0; c < 32; ++c) controls += c;
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(controls)), controls);
}

TEST_F(TokenizerTest, FrequentWordsBecomeOneToken) {
  const Tokenizer tokenizer = trained();
  EXPECT_EQ(tokenizer.encode(" the").size(), 1u);
  EXPECT_EQ(tokenizer.encode(" cat").size(), 1u);
  EXPECT_GT(tokenizer.encode(" zebra").size(), 3u);
}

TEST_F(TokenizerTest, EndOfTextIsOneToken) {
  const Tokenizer tokenizer = trained();
  EXPECT_EQ(tokenizer.end_of_text(), 0);
  EXPECT_EQ(tokenizer.encode("<|endoftext|>"), std::vector<int32_t>{0});
  const auto ids = tokenizer.encode("the<|endoftext|>cat<|endoftext|>");
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 0), 2);
  EXPECT_EQ(tokenizer.decode(ids), "thecat");
}

TEST_F(TokenizerTest, InvalidBytesBecomeTheReplacementCharacter) {
  const Tokenizer tokenizer = trained();
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("a\xFF\xC3z")), "a\uFFFD\uFFFDz");
  EXPECT_EQ(valid_utf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");  // a surrogate
}

TEST_F(TokenizerTest, StreamsOnlyWholeCharacters) {
  const Tokenizer tokenizer = trained(257);  // no merges: a token a byte
  StreamDecoder decoder(tokenizer);
  const std::string text = "\u6771a";
  std::vector<std::string> parts;
  for (const int32_t id : tokenizer.encode(text)) parts.push_back(decoder.add(id));
  EXPECT_THAT(parts, ElementsAre("", "", "\u6771", "a"));
  decoder.add(tokenizer.encode("\u6771")[0]);
  EXPECT_EQ(decoder.finish(), "\uFFFD");
}

TEST_F(TokenizerTest, AMegabyteWithoutASpaceIsNoTrouble) {
  const Tokenizer tokenizer = trained();
  const std::string text(1 << 20, 'a');
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
}

TEST_F(TokenizerTest, TrainingIsDeterministicAndBounded) {
  trained(262);
  const std::string first = read_text_file(folder_ / "tokenizer.json");
  EXPECT_EQ(trained(262).vocab_size(), 262);
  EXPECT_EQ(read_text_file(folder_ / "tokenizer.json"), first);
  BpeTrainer trainer;
  EXPECT_THROW(trainer.train(300), Error);  // no text
  trainer.add_text("x");
  EXPECT_THROW(trainer.train(256), Error);  // no room for the bytes
}

TEST_F(TokenizerTest, RefusesByName) {
  EXPECT_THAT(refusal("{"), HasSubstr("is not a valid tokenizer.json"));
  EXPECT_THAT(refusal("{}"), HasSubstr("is not a valid tokenizer.json"));
  EXPECT_THAT(refusal(R"({"model": {"type": "Unigram"}})"), HasSubstr("model type 'Unigram'"));
  EXPECT_THAT(refusal(R"({"model": {"type": "BPE", "byte_fallback": true}})"),
              HasSubstr("byte fallback"));
  EXPECT_THAT(refusal(R"({"normalizer": {"type": "NFKC"}, "model": {"type": "BPE"}})"),
              HasSubstr("the normalizer"));
  EXPECT_THAT(refusal(R"({"pre_tokenizer": {"type": "ByteLevel"},
                          "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}})"),
              HasSubstr("no piece for byte 0x00"));
}

// Known answers of the released Llama 3 tokenizer, where its file is at hand.
TEST(Llama3Tokenizer, KnownAnswers) {
  const fs::path path = fs::path(BOREALIS_SOURCE_DIR) / "../shared/tokenizers/llama-3";
  if (!fs::exists(path / "tokenizer.json")) GTEST_SKIP() << "no Llama 3 tokenizer on this machine";
  const Tokenizer tokenizer(path);
  EXPECT_EQ(tokenizer.vocab_size(), 128000);
  EXPECT_THAT(tokenizer.encode("Hello world"), ElementsAre(9906, 1917));
  EXPECT_THAT(tokenizer.encode(" Hello  world"), ElementsAre(22691, 220, 1917));
  EXPECT_THAT(tokenizer.encode("don't WE'LL"), ElementsAre(15357, 956, 20255, 6, 4178));
  EXPECT_THAT(tokenizer.encode("price: $1234567.89, 50%"),
              ElementsAre(6692, 25, 400, 4513, 10961, 22, 13, 4578, 11, 220, 1135, 4));
  EXPECT_THAT(tokenizer.encode("\U0001F44D\U0001F3FD"),
              ElementsAre(9468, 239, 235, 9468, 237, 121));
  EXPECT_THAT(tokenizer.encode("na\u00efve caf\u00e9 \u2014 \u6771\u4eac\u90fd"),
              ElementsAre(3458, 38672, 588, 53050, 2001, 104932, 108931));
  EXPECT_THAT(tokenizer.encode("    indented\n        more"),
              ElementsAre(262, 1280, 16243, 198, 286, 810));
}

}  // namespace
}  // namespace borealis
