#include "data/indexed_dataset.h"

#include <csignal>
#include <fstream>
#include <functional>

#include "base/lost_pages.h"
#include "data/data_test_support.h"
#include "data/raw_index.h"

namespace borealis {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class IndexedDatasetTest : public ::testing::Test {
 protected:
  void write(const std::string& index, const std::string& tokens) {
    std::ofstream(prefix_ + ".idx", std::ios::binary) << index;
    std::ofstream(prefix_ + ".bin", std::ios::binary) << tokens;
  }
  void expect_refusal(const RawIndex& index, const std::string& text) {
    write(index.bytes(), std::string(14, '\0'));
    EXPECT_ERROR_THAT(IndexedDataset dataset(prefix_), ErrorKind::kData,
                      AllOf(HasSubstr(prefix_), HasSubstr(text)));
  }

  TemporaryFolder folder_;
  std::string prefix_ = (folder_ / "books").string();
};

TEST_F(IndexedDatasetTest, WritesTheDocumentedBytes) {
  IndexedDatasetWriter writer(prefix_, TokenType::kU16);
  writer.add_document(std::vector<int32_t>{1, 2, 3});
  writer.add_document(std::vector<int32_t>{});
  writer.add_document(std::vector<int32_t>{4, 5, 6, 65000});
  EXPECT_EQ(writer.document_count(), 3);
  EXPECT_EQ(writer.token_count(), 7);
  EXPECT_FALSE(std::filesystem::exists(prefix_ + ".bin"));
  writer.commit();
  EXPECT_EQ(read_text_file(prefix_ + ".idx"), RawIndex().bytes());
  EXPECT_EQ(read_text_file(prefix_ + ".bin"), std::string("\1\0\2\0\3\0\4\0\5\0\6\0\xe8\xfd", 14));
}

TEST_F(IndexedDatasetTest, ReadsBackWhatWasWritten) {
  for (const TokenType type : {TokenType::kU16, TokenType::kI32}) {
    write_dataset(prefix_, {5, 0, 9, 3}, 100, type);
    const IndexedDataset dataset(prefix_);
    EXPECT_EQ(dataset.token_type(), type);
    EXPECT_EQ(dataset.sequence_count(), 4);
    EXPECT_EQ(dataset.document_count(), 4);
    EXPECT_EQ(dataset.token_count(), 17);
    std::vector<int32_t> tokens(4);
    dataset.read(2, 3, 4, 1000, tokens.data());
    EXPECT_THAT(tokens, ElementsAre(108, 109, 110, 111));
  }
}

template <typename T>
std::string packed(const std::vector<T>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

TEST_F(IndexedDatasetTest, ReadsEveryIntegerType) {
  const auto check = [&](uint8_t code, const std::string& tokens, const char* name) {
    RawIndex index;
    index.dtype = code;
    const int64_t item = token_type_bytes(static_cast<TokenType>(code));
    index.offsets = {0, 3 * item, 3 * item};
    write(index.bytes(), tokens);
    const IndexedDataset dataset(prefix_);
    EXPECT_EQ(token_type_name(dataset.token_type()), name);
    std::vector<int32_t> read(4);
    dataset.read(2, 0, 4, 128, read.data());
    EXPECT_THAT(read, ElementsAre(4, 5, 6, 127)) << name;
  };
  check(1, packed<uint8_t>({1, 2, 3, 4, 5, 6, 127}), "u8");
  check(2, packed<int8_t>({1, 2, 3, 4, 5, 6, 127}), "i8");
  check(3, packed<int16_t>({1, 2, 3, 4, 5, 6, 127}), "i16");
  check(4, packed<int32_t>({1, 2, 3, 4, 5, 6, 127}), "i32");
  check(5, packed<int64_t>({1, 2, 3, 4, 5, 6, 127}), "i64");
  check(8, packed<uint16_t>({1, 2, 3, 4, 5, 6, 127}), "u16");
}

TEST_F(IndexedDatasetTest, ChoosesTheTypeByVocabulary) {
  EXPECT_EQ(token_type_for_vocabulary(65499), TokenType::kU16);
  EXPECT_EQ(token_type_for_vocabulary(65500), TokenType::kI32);
}

TEST_F(IndexedDatasetTest, NamesAMissingFile) {
  EXPECT_ERROR_THAT(
      IndexedDataset dataset(prefix_), ErrorKind::kFile,
      AllOf(HasSubstr("books.idx does not exist"), HasSubstr("borealis data tokenize")));
  write_file_atomically(prefix_ + ".idx", RawIndex().bytes());
  EXPECT_ERROR_THAT(IndexedDataset dataset(prefix_), ErrorKind::kFile,
                    HasSubstr("books.bin does not exist"));
}

TEST_F(IndexedDatasetTest, RejectsBadMagic) {
  RawIndex index;
  index.magic[0] = 'X';
  expect_refusal(index, "does not start with the magic bytes");
  index.magic = std::string("TNTIDX\0\0\0", 9);
  expect_refusal(index, "older TNTIDX format");
}

TEST_F(IndexedDatasetTest, RejectsAnotherVersion) {
  RawIndex index;
  index.version = 2;
  expect_refusal(index, "has version 2");
}

TEST_F(IndexedDatasetTest, RejectsTypesThatHoldNoTokens) {
  RawIndex index;
  index.dtype = 7;
  expect_refusal(index, "dtype code 7: floating point");
  index.dtype = 0;
  expect_refusal(index, "unknown dtype code 0");
  index.dtype = 9;
  expect_refusal(index, "unknown dtype code 9");
}

TEST_F(IndexedDatasetTest, RejectsTruncatedIndex) {
  const std::string whole = RawIndex().bytes();
  for (size_t size = 0; size < whole.size(); ++size) {
    write(whole.substr(0, size), std::string(14, '\0'));
    EXPECT_ERROR_THAT(IndexedDataset dataset(prefix_), ErrorKind::kData, HasSubstr("is truncated"));
  }
}

TEST_F(IndexedDatasetTest, RejectsCountsThatOverflow) {
  RawIndex index;
  index.announced_sequences = ~uint64_t{0} / 12 + 1;
  expect_refusal(index, "is truncated");
  index.announced_sequences = std::nullopt;
  index.announced_documents = uint64_t{1} << 61;
  expect_refusal(index, "is truncated");
}

TEST_F(IndexedDatasetTest, RejectsALongerIndex) {
  RawIndex index;
  index.tail = "xy";
  expect_refusal(index, "but its header announces");
  index.tail = "xyz";  // a byte for each of the three sequences
  expect_refusal(index, "multimodal");
}

TEST_F(IndexedDatasetTest, RejectsANegativeLength) {
  RawIndex index;
  index.lengths[1] = -2;
  expect_refusal(index, "sequence 1 the negative length -2");
}

TEST_F(IndexedDatasetTest, RejectsOffsetsThatDoNotAscend) {
  RawIndex index;
  index.offsets = {0, 8, 6};
  expect_refusal(index, "offsets that do not ascend: sequence 2 starts at byte 6");
  index.offsets = {-2, 6, 6};
  expect_refusal(index, "offsets that do not ascend: sequence 0 starts at byte -2");
}

TEST_F(IndexedDatasetTest, RejectsABadDocumentIndex) {
  RawIndex index;
  index.documents = {};
  expect_refusal(index, "empty document index");
  index.documents = {1, 2, 3};
  expect_refusal(index, "starts with 1, not 0");
  index.documents = {0, 2, 1, 3};
  expect_refusal(index, "descends at entry 2");
  index.documents = {0, 1, 2};
  expect_refusal(index, "ends with 2, but there are 3 sequences");
}

TEST_F(IndexedDatasetTest, RejectsATokenFileThatIsTooShort) {
  write(RawIndex().bytes(), std::string(13, '\0'));
  EXPECT_ERROR_THAT(IndexedDataset dataset(prefix_), ErrorKind::kData,
                    AllOf(HasSubstr("books.bin is too short: it has 13 bytes"),
                          HasSubstr("sequence 2 ends at byte 14")));
  RawIndex far;
  far.offsets = {0, 6, int64_t{1} << 62};
  write(far.bytes(), std::string(14, '\0'));
  EXPECT_ERROR_THAT(IndexedDataset dataset(prefix_), ErrorKind::kData, HasSubstr("is too short"));
}

TEST_F(IndexedDatasetTest, AcceptsALongerTokenFileWithAWarning) {
  write(RawIndex().bytes(), std::string(20, '\0'));
  testing::internal::CaptureStdout();
  const IndexedDataset dataset(prefix_);
  EXPECT_EQ(dataset.token_count(), 7);
  EXPECT_THAT(testing::internal::GetCapturedStdout(), HasSubstr("6 bytes longer"));
}

TEST_F(IndexedDatasetTest, TellsOfTokensThatAreLostWhileItReads) {
  tell_of_lost_pages();
  write_dataset(prefix_, {9000, 9000}, 100, TokenType::kU16);
  const IndexedDataset dataset(prefix_);
  std::vector<int32_t> tokens(9000);
  dataset.read(1, 0, 9000, 30'000, tokens.data());
  std::filesystem::resize_file(prefix_ + ".bin", 20'000);
  dataset.read(0, 0, 9000, 30'000, tokens.data());
  EXPECT_EQ(tokens[8999], 9099);
  try {
    dataset.read(1, 0, 9000, 30'000, tokens.data());
    FAIL() << "reads on";
  } catch (const DatasetError& error) {
    EXPECT_EQ(error.fault(), DatasetFault::kLostTokens);
    EXPECT_THAT(error.what(), HasSubstr(prefix_ + ".bin was cut short while it was read"));
  }
  std::signal(SIGBUS, SIG_DFL);
}

TEST_F(IndexedDatasetTest, NamesDocumentAndIdOfAForeignToken) {
  write_dataset(prefix_, {4, 4, 4}, 0);
  const IndexedDataset dataset(prefix_);
  std::vector<int32_t> tokens(4);
  dataset.read(1, 0, 4, 8, tokens.data());
  EXPECT_ERROR_THAT(dataset.read(2, 1, 3, 9, tokens.data()), ErrorKind::kData,
                    AllOf(HasSubstr("books.bin: document 2 has the token id 9 at position 1"),
                          HasSubstr("vocabulary ends at 8")));
}

TEST_F(IndexedDatasetTest, NamesANegativeToken) {
  RawIndex index;
  index.dtype = 4;
  index.offsets = {0, 12, 12};
  write(index.bytes(), packed<int32_t>({1, 2, 3, 4, -5, 6, 7}));
  std::vector<int32_t> tokens(4);
  EXPECT_ERROR_THAT(IndexedDataset(prefix_).read(2, 0, 4, 100, tokens.data()), ErrorKind::kData,
                    HasSubstr("document 2 has the token id -5 at position 1"));
}

TEST_F(IndexedDatasetTest, NamesAnIdBeyondThirtyTwoBits) {
  RawIndex index;
  index.dtype = 5;
  index.offsets = {0, 24, 24};
  write(index.bytes(), packed<int64_t>({1, 2, 3, 4, 5, int64_t{1} << 32, 7}));
  std::vector<int32_t> tokens(4);
  EXPECT_ERROR_THAT(IndexedDataset(prefix_).read(2, 0, 4, 100, tokens.data()), ErrorKind::kData,
                    HasSubstr("token id 4294967296"));
}

TEST_F(IndexedDatasetTest, FindsTheDocumentOfASequence) {
  RawIndex index;
  index.documents = {0, 2, 2, 3};  // two sequences, none, one
  write(index.bytes(), std::string(14, '\0'));
  const IndexedDataset dataset(prefix_);
  EXPECT_EQ(dataset.document_count(), 3);
  EXPECT_EQ(dataset.document_of_sequence(0), 0);
  EXPECT_EQ(dataset.document_of_sequence(1), 0);
  EXPECT_EQ(dataset.document_of_sequence(2), 2);
}

// An index of so many sequences that their tokens are summed beforehand.
TEST_F(IndexedDatasetTest, CountsTheTokensOfManySequences) {
  constexpr int64_t kSequences = 3 * 65536 + 1;
  RawIndex index;
  index.lengths.clear();
  index.offsets.clear();
  index.documents = {0};
  std::vector<int64_t> before = {0};
  for (int64_t i = 0; i < kSequences; ++i) {
    const auto length = static_cast<int32_t>(i % 5);
    index.lengths.push_back(length);
    index.offsets.push_back(2 * before.back());
    index.documents.push_back(i + 1);
    before.push_back(before.back() + length);
  }
  write(index.bytes(), std::string(static_cast<size_t>(2 * before.back()), '\0'));
  const IndexedDataset dataset(prefix_);
  EXPECT_TRUE(dataset.is_back_to_back());
  EXPECT_EQ(dataset.token_count(), before.back());
  const std::vector<int64_t> places = {0, 1, 65535, 65536, 65537, 131072, 3 * 65536, kSequences};
  for (const int64_t first : places) {
    for (const int64_t last : places) {
      if (first > last) continue;
      EXPECT_EQ(dataset.tokens_in(first, last),
                before[static_cast<size_t>(last)] - before[static_cast<size_t>(first)])
          << first << " to " << last;
    }
  }
  index.lengths.pop_back();
  index.offsets.pop_back();
  index.documents.pop_back();  // a multiple now
  write(index.bytes(), std::string(static_cast<size_t>(2 * before.back()), '\0'));
  EXPECT_EQ(IndexedDataset(prefix_).tokens_in(0, kSequences - 1), before[kSequences - 1]);
}

TEST_F(IndexedDatasetTest, KnowsWhetherSequencesLieBackToBack) {
  RawIndex index;
  write(index.bytes(), std::string(14, '\0'));
  EXPECT_TRUE(IndexedDataset(prefix_).is_back_to_back());
  index.offsets = {0, 6, 8};
  write(index.bytes(), std::string(16, '\0'));
  EXPECT_FALSE(IndexedDataset(prefix_).is_back_to_back());
  index.offsets = {2, 8, 8};
  write(index.bytes(), std::string(16, '\0'));
  EXPECT_FALSE(IndexedDataset(prefix_).is_back_to_back()) << "they begin behind the first byte";
}

TEST_F(IndexedDatasetTest, AnAbandonedWriterLeavesNothing) {
  {
    IndexedDatasetWriter writer(prefix_, TokenType::kI32);
    writer.add_document(std::vector<int32_t>{1, 2});
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(IndexedDatasetTest, AWriterGoesOnFromItsSpool) {
  const DatasetSpool empty{.folder = folder_.path()};
  {
    IndexedDatasetWriter writer(prefix_, TokenType::kU16, empty);
    writer.add_document(std::vector<int32_t>{1, 2, 3});
    writer.sync();
    writer.add_document(std::vector<int32_t>{9, 9, 9, 9});  // is lost with the process
    writer.sync();
  }
  EXPECT_FALSE(std::filesystem::exists(prefix_ + ".bin"));
  IndexedDatasetWriter writer(prefix_, TokenType::kU16,
                              {.folder = folder_.path(), .documents = 1, .tokens = 3});
  writer.add_document(std::vector<int32_t>{});
  writer.add_document(std::vector<int32_t>{4, 5, 6, 65000});
  writer.commit("record\n");
  EXPECT_EQ(read_text_file(prefix_ + ".idx"), RawIndex().bytes());
  EXPECT_EQ(read_text_file(prefix_ + ".bin"), std::string("\1\0\2\0\3\0\4\0\5\0\6\0\xe8\xfd", 14));
  EXPECT_EQ(read_text_file(prefix_ + ".meta.json"), "record\n");
  EXPECT_ERROR_THAT(IndexedDatasetWriter(prefix_, TokenType::kU16,
                                         {.folder = folder_.path(), .documents = 9, .tokens = 9}),
                    ErrorKind::kFile, HasSubstr("tokens"));
  write_file_atomically(folder_ / "tokens", "123");
  EXPECT_ERROR_THAT(IndexedDatasetWriter(prefix_, TokenType::kU16,
                                         {.folder = folder_.path(), .documents = 9, .tokens = 9}),
                    ErrorKind::kFile, HasSubstr("is shorter than the 18 bytes"));
}

TEST_F(IndexedDatasetTest, AnInterruptedCommitIsMadeUpFor) {
  const DatasetSpool spool{.folder = folder_.path(), .documents = 3, .tokens = 7};
  const auto spool_up = [&] {
    IndexedDatasetWriter writer(prefix_, TokenType::kU16, {.folder = folder_.path()});
    writer.add_document(std::vector<int32_t>{1, 2, 3});
    writer.add_document(std::vector<int32_t>{});
    writer.add_document(std::vector<int32_t>{4, 5, 6, 65000});
    writer.sync();
  };
  spool_up();  // killed before the tokens got their name
  auto writer = IndexedDatasetWriter::resume_commit(prefix_, TokenType::kU16, spool, "");
  ASSERT_TRUE(writer);
  writer->commit();
  EXPECT_EQ(read_text_file(prefix_ + ".idx"), RawIndex().bytes());
  // Killed after that, before the index did.
  std::filesystem::remove(prefix_ + ".idx");
  EXPECT_FALSE(IndexedDatasetWriter::resume_commit(prefix_, TokenType::kU16, spool, "record\n"));
  EXPECT_EQ(read_text_file(prefix_ + ".idx"), RawIndex().bytes());
  EXPECT_EQ(read_text_file(prefix_ + ".meta.json"), "record\n");
}

TEST_F(IndexedDatasetTest, NewTokensTakeAnOldRecordAway) {
  write_file_atomically(prefix_ + ".meta.json", "of other tokens");
  write_dataset(prefix_, {2});
  EXPECT_FALSE(std::filesystem::exists(prefix_ + ".meta.json"));
}

TEST_F(IndexedDatasetTest, KnowsTheRangeOfIds) {
  write_dataset(prefix_, {4, 0, 3}, 60000);
  const IndexedDataset dataset(prefix_);
  EXPECT_EQ(dataset.id_range(2).lowest, 60004);
  EXPECT_EQ(dataset.id_range(2).highest, 60006);
  EXPECT_EQ(dataset.id_range(1).highest, -1);
  RawIndex index;
  index.dtype = 5;
  index.offsets = {0, 24, 24};
  write(index.bytes(), packed<int64_t>({1, -2, 3, 4, 5, int64_t{1} << 40, 7}));
  EXPECT_EQ(IndexedDataset(prefix_).id_range(0).lowest, -2);
  EXPECT_EQ(IndexedDataset(prefix_).id_range(2).highest, int64_t{1} << 40);
}

TEST_F(IndexedDatasetTest, WriterMakesTheFolder) {
  write_dataset(folder_ / "deep/er/books", {2});
  EXPECT_EQ(IndexedDataset(folder_ / "deep/er/books").token_count(), 2);
}

}  // namespace
}  // namespace borealis
