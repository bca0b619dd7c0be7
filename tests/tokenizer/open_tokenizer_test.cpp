#include "tokenizer/open_tokenizer.h"

#include "base/file.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"
#include "tokenizer/small_tokenizers.h"
#include "tokenizer/tokenizer_identity.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;

class OpenTokenizerTest : public ::testing::Test {
 protected:
  std::string write(const char* name, const std::string& text) {
    write_file_atomically(folder_.path() / name, text);
    return (folder_.path() / name).string();
  }
  // 256 bytes, the results of two merges, <|endoftext|>.
  TokenizerSource write_gpt2() {
    json vocabulary = small_tokenizer({{"a", "b"}, {" ", "c"}})["model"]["vocab"];
    vocabulary["<|endoftext|>"] = 258;
    return {.type = TokenizerType::kGpt2,
            .path = write("vocab.json", vocabulary.dump()),
            .merges = write("merges.txt", "#version: 0.2\na b\n\u0120 c\n")};
  }
  TemporaryFolder folder_;
};

TEST_F(OpenTokenizerTest, ReadsGpt2sTwoFiles) {
  TokenizerSource source = write_gpt2();
  const Tokenizer tokenizer = open_tokenizer(source);
  EXPECT_EQ(tokenizer.vocab_size(), 259);
  EXPECT_EQ(tokenizer.end_of_text(), 258);
  EXPECT_THAT(tokenizer.encode_document("ab c"), ElementsAre(256, 257));
  EXPECT_EQ(tokenizer.encode("<|endoftext|>").size(), 13u) << "as Megatron's, it is text like any";
  source.type = TokenizerType::kHuggingFace;
  EXPECT_THAT(open_tokenizer(source).encode("ab<|endoftext|>"), ElementsAre(256, 258));
  EXPECT_EQ(open_tokenizer(source).decode(std::vector<int32_t>{256, 258}), "ab");
  write("merges.txt", "a b\r\n\u0120 c");
  EXPECT_THAT(open_tokenizer(source).encode("ab c"), ElementsAre(256, 257));
}

TEST_F(OpenTokenizerTest, NamesWhatIsWrongInGpt2sFiles) {
  const TokenizerSource source = write_gpt2();
  const auto refuse = [&](const char* what) {
    EXPECT_ERROR(open_tokenizer(source), ErrorKind::kData, what);
  };
  for (const char* text :
       {"a b\nab\n", "a b\na  b\n", "a b\n a b\n", "a b\nab \n", "a b\na b c\n"}) {
    write("merges.txt", text);
    refuse("merges.txt:2: not two pieces and a space");
  }
  write("merges.txt", "a zz\n");
  refuse("vocab.json with merges.txt has \"zz\" as a part of merge 0");
  write("vocab.json", R"({"a": 0})");
  refuse("vocab.json has no <|endoftext|>");
  for (const char* text : {"{", "[]", "{}", R"({"a": "b"})", R"({"a": -1})"}) {
    write("vocab.json", text);
    refuse("vocab.json is not a JSON object of pieces");
  }
  write_gpt2();
  std::filesystem::remove(source.merges);
  EXPECT_ERROR(open_tokenizer(source), ErrorKind::kFile, "merges.txt");
}

TEST_F(OpenTokenizerTest, ReadsNumbersAsText) {
  const Tokenizer tokenizer = open_tokenizer({.type = TokenizerType::kNull, .size = 786});
  EXPECT_EQ(tokenizer.vocab_size(), 787);
  EXPECT_EQ(tokenizer.end_of_text(), 786);
  EXPECT_THAT(tokenizer.encode_document(" 0 17\n\t785  786 "), ElementsAre(0, 17, 785, 786));
  EXPECT_THAT(tokenizer.encode(""), ElementsAre());
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{0, 17, 786, 785, 787, -1}), "0 17 785");
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{0, 786}, false), "0 786");
  EXPECT_EQ(tokenizer.token_id("17"), 17);
  for (const char* text : {"787", "-1", "1.5", "x", "99999999999", "1,2", "0x1"}) {
    EXPECT_ERROR(tokenizer.encode(text), ErrorKind::kData,
                 std::string(text) + "\" in a text is not a token id of 0 to 786");
  }
}

TEST_F(OpenTokenizerTest, TellsTheKindsApart) {
  const TokenizerIdentity numbers =
      tokenizer_identity(open_tokenizer({.type = TokenizerType::kNull, .size = 786}));
  EXPECT_EQ(numbers.kind, "numbers");
  EXPECT_EQ(numbers.sha256, "");
  EXPECT_EQ(numbers.vocab_size, 787);
  const TokenizerSource source = write_gpt2();
  const TokenizerIdentity gpt2 = tokenizer_identity(open_tokenizer(source));
  EXPECT_EQ(gpt2.kind, "vocab.json and merges.txt");
  EXPECT_EQ(gpt2.sha256, sha256_hex({source.path, source.merges}));
  write("tokenizer.json", small_tokenizer({}).dump());
  EXPECT_EQ(open_tokenizer({.path = (folder_.path() / "tokenizer.json").string()}).origin().kind,
            "tokenizer.json");
}

}  // namespace
}  // namespace borealis
