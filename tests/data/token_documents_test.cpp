#include "data/token_documents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/memory.h"
#include "data/data_test_support.h"
#include "tokenizer/small_tokenizers.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int32_t kEnd = 257;  // <|endoftext|>, behind the bytes and one merge

class TokenDocumentsTest : public ::testing::Test {
 protected:
  TokenDocumentsTest()
      : tokenizer_(make_tokenizer(
            small_tokenizer({{"l", "l"}}, {{{"content", "<|endoftext|>"}, {"special", true}}}))) {}

  std::unique_ptr<TokenDocuments> texts(const std::string& name, const std::string& text,
                                        TokenizeTexts options) {
    write_file_atomically(folder_ / name, text);
    const DocumentFiles files({folder_ / name}, {.on_bad_record = BadRecordPolicy::kRepair});
    return tokenize_texts(files, tokenizer_, options, {});
  }
  static std::vector<int32_t> all(const TokenDocuments& documents, int64_t document) {
    std::vector<int32_t> ids(static_cast<size_t>(documents.length(document)));
    documents.read(document, 0, documents.length(document), ids.data());
    return ids;
  }

  TemporaryFolder folder_;
  Tokenizer tokenizer_;
};

TEST_F(TokenDocumentsTest, ATextIsLedByTheStartToken) {
  const auto documents = texts("a.txt", "hello", {.start = {kEnd}});
  ASSERT_EQ(documents->count(), 1);
  EXPECT_THAT(all(*documents, 0), ElementsAre(kEnd, 'h', 'e', 256, 'o'));
  EXPECT_EQ(documents->text_bytes(0, 5), 5);
  EXPECT_EQ(documents->text_bytes(0, 4), 4) << "hell";
  EXPECT_GE(documents->memory_bytes(), 5 * 4);
}

TEST_F(TokenDocumentsTest, WithoutStartTokenTheFirstTokensBytesDoNotCount) {
  const auto documents = texts("a.txt", "llama", {});
  EXPECT_THAT(all(*documents, 0), ElementsAre(256, 'a', 'm', 'a'));
  EXPECT_EQ(documents->text_bytes(0, 4), 3);
}

TEST_F(TokenDocumentsTest, ATextThatStartsWithASpecialTokenIsNotLedAgain) {
  const auto documents = texts("a.txt", "<|endoftext|>ab", {.start = {kEnd}});
  EXPECT_THAT(all(*documents, 0), ElementsAre(kEnd, 'a', 'b'));
}

TEST_F(TokenDocumentsTest, BytesAreThoseOfTheFileNotOfTheTokens) {
  const auto documents = texts("a.txt", "a\xff", {.start = {kEnd}});  // is repaired to 3 bytes
  EXPECT_EQ(documents->length(0), 1 + 1 + 3);
  EXPECT_EQ(documents->text_bytes(0, 5), 2);
}

TEST_F(TokenDocumentsTest, LinesOfJsonAreDocumentsAndEmptyOnesAreNone) {
  const auto documents =
      texts("a.jsonl", "{\"text\": \"ab\"}\n\n{\"text\": \"\"}\n{\"text\": \"c\"}\n", {});
  ASSERT_EQ(documents->count(), 2);
  EXPECT_THAT(all(*documents, 0), ElementsAre('a', 'b'));
  EXPECT_THAT(all(*documents, 1), ElementsAre('c'));
  EXPECT_EQ(documents->token_count(), 3);
}

TEST_F(TokenDocumentsTest, ReadingEndsOnceThereIsEnough) {
  std::string lines;
  for (int i = 0; i < 300'000; ++i) lines += "{\"text\": \"abcdefgh\"}\n";  // 6 MB: 6 slices
  const auto documents = texts("a.jsonl", lines, {.max_tokens = 1000});
  EXPECT_GT(documents->token_count(), 1000);
  EXPECT_LT(documents->count(), 300'000);
}

TEST_F(TokenDocumentsTest, ATextThatDoesNotFitIsRefused) {
  // Its ids take 32 MiB while they are collected; what writes and opens it takes less than 24.
  const std::string text(size_t{8} << 20, 'a');
  const int64_t little_more = resident_bytes() + (int64_t{24} << 20);
  EXPECT_ERROR_THAT(texts("a.txt", text, {.limit_bytes = little_more}), ErrorKind::kMemory,
                    HasSubstr("the tokens of the text do not fit in the"));
  // What the process has without the text is not the text's fault: the plan of the model tells.
  EXPECT_NO_THROW(texts("a.txt", "hello", {.limit_bytes = 1 << 20}));
}

TEST_F(TokenDocumentsTest, DocumentsOfADataSetMayHaveSeveralSequences) {
  IndexedDatasetWriter writer(folder_ / "x", TokenType::kU16);
  writer.add_document(std::vector<int32_t>{'a', 'b', 'c'});
  writer.add_document(std::vector<int32_t>{'d', 'e'});
  writer.add_document(std::vector<int32_t>{'f', kEnd});
  writer.commit();
  // The first two sequences as one document: entry 1 of the index becomes 2, entry 2 becomes 3.
  std::string index = read_text_file(folder_ / "x.idx");
  index[34 + 12 * 3 + 8] = 2;
  index[34 + 12 * 3 + 16] = 3;
  index.resize(index.size() - 8);
  index[26] = 3;
  write_file_atomically(folder_ / "x.idx", index);

  const auto documents = indexed_documents(folder_ / "x", &tokenizer_, {kEnd});
  ASSERT_EQ(documents->count(), 2);
  EXPECT_THAT(all(*documents, 0), ElementsAre(kEnd, 'a', 'b', 'c', 'd', 'e'));
  EXPECT_THAT(all(*documents, 1), ElementsAre(kEnd, 'f', kEnd));
  std::vector<int32_t> part(3);
  documents->read(0, 2, 3, part.data());
  EXPECT_THAT(part, ElementsAre('b', 'c', 'd'));
  EXPECT_EQ(documents->text_bytes(0, 6), 5);
  EXPECT_EQ(documents->text_bytes(1, 3), 1) << "the end-of-text token stands for nothing";
  EXPECT_EQ(indexed_documents(folder_ / "x", nullptr, {})->text_bytes(0, 5), std::nullopt);
  EXPECT_THAT(all(*indexed_documents(folder_ / "x", nullptr, {}), 1), ElementsAre('f', kEnd));
}

TEST_F(TokenDocumentsTest, ADataSetWhoseDocumentsStartWithASpecialTokenIsNotLed) {
  IndexedDatasetWriter writer(folder_ / "x", TokenType::kU16);
  writer.add_document(std::vector<int32_t>{kEnd, 'a'});
  writer.add_document(std::vector<int32_t>{kEnd, 'b'});
  writer.commit();
  const auto documents = indexed_documents(folder_ / "x", &tokenizer_, {kEnd});
  EXPECT_THAT(all(*documents, 1), ElementsAre(kEnd, 'b'));
}

}  // namespace
}  // namespace borealis
