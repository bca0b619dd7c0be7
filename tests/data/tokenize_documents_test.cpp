#include "data/tokenize_documents.h"

#include "data/data_test_support.h"
#include "tokenizer/bpe_trainer.h"

namespace borealis {
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;

class TokenizeDocumentsTest : public testing::Test {
 protected:
  TokenizedCorpus tokenize(const Tokenizer& tokenizer, bool append_end, int threads = 2) {
    const DocumentFiles files({input_}, TextFormat::kAuto, "text");
    return tokenize_documents(
        files, tokenizer,
        {.output_prefix = folder_ / "out", .append_end = append_end, .threads = threads}, nullptr);
  }
  std::vector<int32_t> document(int64_t number) {
    const IndexedDataset data(folder_ / "out");
    std::vector<int32_t> ids(static_cast<size_t>(data.lengths()[number]));
    data.read(number, 0, data.lengths()[number], 1 << 20, ids.data());
    return ids;
  }
  TemporaryFolder folder_;
  std::filesystem::path input_ = folder_ / "in.jsonl";
  Tokenizer tokenizer_{train_bpe({{" the", 5}, {"the", 3}}, {.vocab_size = 262}, nullptr)};
};

TEST_F(TokenizeDocumentsTest, WritesEveryDocumentWithItsEnd) {
  write_file_atomically(input_, "{\"text\": \"the the\"}\n{\"text\": \"\"}\n{\"text\": \"a\"}\n");
  const TokenizedCorpus corpus = tokenize(tokenizer_, true);
  EXPECT_EQ(corpus.documents, 2);
  EXPECT_EQ(corpus.empty_documents, 1);
  EXPECT_EQ(corpus.end_token, 0);
  EXPECT_EQ(corpus.type, TokenType::kU16);
  std::vector<int32_t> expected = tokenizer_.encode("the the");
  expected.push_back(0);  // counted in the length, unlike in the reference
  EXPECT_THAT(document(0), ElementsAreArray(expected));
  EXPECT_EQ(corpus.tokens, static_cast<int64_t>(expected.size()) + 2);
  tokenize(tokenizer_, false);
  EXPECT_THAT(document(0), ElementsAreArray(tokenizer_.encode("the the")));
}

TEST_F(TokenizeDocumentsTest, ThreadsDoNotChangeTheFiles) {
  std::string lines;
  for (int i = 0; i < 60000; ++i) {
    lines += "{\"text\": \"document " + std::to_string(i) + " of the the\"}\n";
  }
  write_file_atomically(input_, lines);
  const TokenizedCorpus corpus = tokenize(tokenizer_, true, 1);
  EXPECT_EQ(corpus.documents, 60000);
  const std::string tokens = read_text_file(folder_ / "out.bin");
  const std::string index = read_text_file(folder_ / "out.idx");
  tokenize(tokenizer_, true, 4);
  EXPECT_EQ(read_text_file(folder_ / "out.bin"), tokens);
  EXPECT_EQ(read_text_file(folder_ / "out.idx"), index);
}

TEST_F(TokenizeDocumentsTest, LeavesNothingBehindOnError) {
  write_file_atomically(input_, "{\"text\": \"a\"}\n{\"text\": 3}\n");
  EXPECT_ERROR(tokenize(tokenizer_, true), ErrorKind::kData, HasSubstr("in.jsonl:2"));
  write_file_atomically(input_, "{\"text\": \"\"}\n");
  EXPECT_ERROR(tokenize(tokenizer_, true), ErrorKind::kData, HasSubstr("no documents with text"));
  write_file_atomically(input_, "{\"text\": \"a\"}\n");
  const Tokenizer endless(
      train_bpe({{"a", 1}}, {.vocab_size = 256, .special_tokens = {}}, nullptr));
  EXPECT_ERROR(tokenize(endless, true), ErrorKind::kConfig, HasSubstr("--no-append-eod"));
  EXPECT_EQ(tokenize(endless, false).documents, 1);
  std::filesystem::remove(folder_ / "out.bin");
  std::filesystem::remove(folder_ / "out.idx");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()), {}), 1);
}

}  // namespace
}  // namespace borealis
