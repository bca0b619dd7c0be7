#include "data/dataset_merge.h"

#include <fstream>

#include "data/data_record.h"
#include "data/data_test_support.h"
#include "data/raw_index.h"

namespace borealis {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class DatasetMergeTest : public ::testing::Test {
 protected:
  MergedDataset merge(const std::vector<std::string>& names, bool without_record = false) {
    std::vector<std::filesystem::path> prefixes;
    for (const std::string& name : names) prefixes.push_back(folder_ / name);
    return merge_datasets(prefixes,
                          {.output_prefix = folder_ / "out",
                           .without_record = without_record,
                           .overwrite = overwrite_},
                          nullptr);
  }
  void write_record(const std::string& name, const DataRecord& record) {
    write_file_atomically(data_record_path(folder_ / name), data_record_json(record));
  }
  std::string bytes(const std::string& name) { return read_text_file(folder_ / name); }
  TemporaryFolder folder_;
  bool overwrite_ = true;
};

DataRecord record_of(int64_t documents, int64_t tokens, int64_t from, std::optional<int64_t> to) {
  DataRecord record;
  record.tokenizer = {.kind = "tokenizer.json",
                      .sha256 = "ab",
                      .vocab_size = 300,
                      .end_token = 0,
                      .document_prefix = {1},
                      .document_suffix = {}};
  record.tokenizer_path = "tok";
  record.end_token_appended = true;
  record.documents = documents;
  record.tokens = tokens;
  record.sources = {{"/in.jsonl", 1000, 5, from, to}};
  return record;
}

TEST_F(DatasetMergeTest, GivesThePairThatOneWriterWouldHaveMade) {
  write_dataset(folder_ / "whole", {3, 0, 4, 1, 2, 7}, 10);
  write_dataset(folder_ / "a", {3, 0}, 10);
  write_dataset(folder_ / "b", {}, 0);
  write_dataset(folder_ / "c", {4, 1, 2, 7}, 13);
  const MergedDataset merged = merge({"a", "b", "c"});
  EXPECT_EQ(merged.documents, 6);
  EXPECT_EQ(merged.tokens, 17);
  EXPECT_FALSE(merged.has_record);
  EXPECT_EQ(bytes("out.bin"), bytes("whole.bin"));
  EXPECT_EQ(bytes("out.idx"), bytes("whole.idx"));
}

TEST_F(DatasetMergeTest, ShiftsDocumentsOfSeveralSequences) {
  RawIndex index;
  index.documents = {0, 2, 2, 3};  // two sequences, none, one
  std::ofstream(folder_ / "a.idx", std::ios::binary) << index.bytes();
  std::ofstream(folder_ / "a.bin", std::ios::binary)
      << std::string("\1\0\2\0\3\0\4\0\5\0\6\0\7\0", 14);
  const MergedDataset merged = merge({"a", "a"});
  EXPECT_EQ(merged.documents, 6);
  EXPECT_EQ(merged.sequences, 6);
  const std::string tokens("\1\0\2\0\3\0\4\0\5\0\6\0\7\0", 14);
  EXPECT_EQ(bytes("out.bin"), tokens + tokens);
  RawIndex expected;
  expected.lengths = {3, 0, 4, 3, 0, 4};
  expected.offsets = {0, 6, 6, 14, 20, 20};
  expected.documents = {0, 2, 2, 3, 5, 5, 6};
  EXPECT_EQ(bytes("out.idx"), expected.bytes());
}

TEST_F(DatasetMergeTest, RefusesDamagedPairs) {
  write_dataset(folder_ / "sound", {3, 4});
  const auto expect_refusal = [&](const RawIndex& index, const std::string& tokens,
                                  const std::string& fault) {
    std::ofstream(folder_ / "a.idx", std::ios::binary) << index.bytes();
    std::ofstream(folder_ / "a.bin", std::ios::binary) << tokens;
    EXPECT_ERROR_THAT(merge({"sound", "a"}), ErrorKind::kData,
                      AllOf(HasSubstr("a is damaged (" + fault + ")"), HasSubstr("data verify")));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "out.bin"));
  };
  RawIndex index;
  index.offsets = {0, 6, 8};
  expect_refusal(index, std::string(16, '\1'), "gap-in-tokens");
  index.offsets = {0, 5, 5};
  expect_refusal(index, std::string(14, '\1'), "overlapping-sequences");
  expect_refusal({}, std::string(15, '\1'), "trailing-token-bytes");
  index = {};
  index.dtype = 4;  // its tokens have half of these bytes
  index.lengths = {1, 0, 2};
  index.offsets = {0, 4, 4};
  std::ofstream(folder_ / "a.idx", std::ios::binary) << index.bytes();
  std::ofstream(folder_ / "a.bin", std::ios::binary) << std::string(12, '\xff');
  EXPECT_ERROR_THAT(
      merge({"a"}), ErrorKind::kData,
      AllOf(HasSubstr("a.bin is damaged (foreign-token)"), HasSubstr("the token id -1")));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out.bin"));
}

TEST_F(DatasetMergeTest, ReplacesNothingUnasked) {
  write_dataset(folder_ / "a", {3, 4});
  write_dataset(folder_ / "out", {5});
  overwrite_ = false;
  EXPECT_ERROR_THAT(
      merge({"a"}), ErrorKind::kUsage,
      AllOf(HasSubstr("out.bin exists (10 B), with 1 more"), HasSubstr("--overwrite")));
  EXPECT_EQ(IndexedDataset(folder_ / "out").document_count(), 1);
}

TEST_F(DatasetMergeTest, CarriesTheRecordOver) {
  write_dataset(folder_ / "a", {3, 4});
  write_dataset(folder_ / "b", {5});
  write_record("a", record_of(2, 7, 0, 400));
  write_record("b", record_of(1, 5, 400, std::nullopt));
  EXPECT_TRUE(merge({"a", "b"}).has_record);
  EXPECT_EQ(read_data_record(folder_ / "out"), record_of(3, 12, 0, std::nullopt));
  merge({"b", "a"});
  EXPECT_EQ(read_data_record(folder_ / "out")->sources.size(), 2u);
  EXPECT_FALSE(merge({"a", "b"}, true).has_record);
  EXPECT_EQ(read_data_record(folder_ / "out"), std::nullopt);
}

TEST_F(DatasetMergeTest, RefusesWhatDoesNotGoTogether) {
  write_dataset(folder_ / "a", {3, 4});
  write_dataset(folder_ / "b", {5});
  write_dataset(folder_ / "wide", {5}, 0, TokenType::kI32);
  EXPECT_ERROR_THAT(merge({"a", "b", "wide"}), ErrorKind::kConfig,
                    AllOf(HasSubstr("a and "), HasSubstr("wide cannot be merged"), HasSubstr("u16"),
                          HasSubstr("i32")));
  write_record("a", record_of(2, 7, 0, 400));
  EXPECT_ERROR_THAT(merge({"a", "b"}), ErrorKind::kConfig, HasSubstr("--without-record"));
  EXPECT_EQ(merge({"a", "b"}, true).documents, 3);
  DataRecord other = record_of(1, 5, 400, std::nullopt);
  other.tokenizer.sha256 = "cd";
  write_record("b", other);
  EXPECT_ERROR_THAT(merge({"a", "b"}), ErrorKind::kConfig,
                    AllOf(HasSubstr("SHA-256 ab"), HasSubstr("SHA-256 cd")));
  other = record_of(1, 5, 400, std::nullopt);
  other.end_token_appended = false;
  write_record("b", other);
  EXPECT_ERROR_THAT(merge({"a", "b"}), ErrorKind::kConfig, HasSubstr("documents without it"));
  EXPECT_ERROR_THAT(merge({"a", "out"}, true), ErrorKind::kUsage, HasSubstr("one of the pairs"));
  EXPECT_ERROR_THAT(merge({"a", "none"}), ErrorKind::kFile, HasSubstr("none.idx"));
  EXPECT_EQ(IndexedDataset(folder_ / "out").document_count(), 3) << "the last good merge";
}

}  // namespace
}  // namespace borealis
