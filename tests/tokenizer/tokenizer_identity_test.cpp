#include "tokenizer/tokenizer_identity.h"

#include "base/file.h"
#include "support/temporary_folder.h"
#include "tokenizer/small_tokenizers.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;

TEST(Sha256, KnownAnswers) {
  const TemporaryFolder folder;
  write_file_atomically(folder.path() / "empty", "");
  write_file_atomically(folder.path() / "a", "a");
  write_file_atomically(folder.path() / "bc", "bc");
  EXPECT_EQ(sha256_hex({folder.path() / "empty"}),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex({folder.path() / "a", folder.path() / "bc"}),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");  // of "abc"
  EXPECT_THROW(sha256_hex({folder.path() / "none"}), Error);
}

TEST(TokenizerIdentity, TellsTokenizersApart) {
  const TemporaryFolder folder;
  json file = small_tokenizer({}, {{{"content", "<s>"}}, {{"content", "</s>"}}});
  file["post_processor"] = json::parse(R"({"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
      "special_tokens": {"<s>": {"ids": [256]}}})");
  const auto identity = [&](const char* name) {
    write_file_atomically(folder.path() / name / "tokenizer.json", file.dump());
    return tokenizer_identity(Tokenizer(folder.path() / name));
  };
  borealis::create_directories(folder.path() / "one");
  borealis::create_directories(folder.path() / "two");
  const TokenizerIdentity one = identity("one");
  EXPECT_EQ(one.kind, "tokenizer.json");
  EXPECT_EQ(one.vocab_size, 258);
  EXPECT_EQ(one.end_token, 257);
  EXPECT_THAT(one.document_prefix, ElementsAre(256));
  EXPECT_THAT(one.document_suffix, ElementsAre());
  EXPECT_EQ(one.sha256, sha256_hex({folder.path() / "one/tokenizer.json"}));
  EXPECT_EQ(identity("two"), one) << "the place does not matter";
  file["model"]["merges"].push_back("a b");
  file["model"]["vocab"]["ab"] = 258;
  EXPECT_NE(identity("two").sha256, one.sha256);
}

TEST(TokenizerIdentity, OfATokenizerWithoutFilesHasNoHash) {
  const TokenizerIdentity identity = tokenizer_identity(make_tokenizer(small_tokenizer({})));
  EXPECT_EQ(identity.kind, "");
  EXPECT_EQ(identity.sha256, "");
  EXPECT_EQ(identity.vocab_size, 256);
}

}  // namespace
}  // namespace borealis
