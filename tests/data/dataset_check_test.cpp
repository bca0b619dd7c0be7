#include "data/dataset_check.h"

#include <fstream>
#include <set>

#include "data/data_test_support.h"
#include "data/raw_index.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class DatasetCheckTest : public ::testing::Test {
 protected:
  void write(const RawIndex& index, const std::string& tokens = std::string(14, '\1')) {
    std::ofstream(prefix_ + ".idx", std::ios::binary) << index.bytes();
    std::ofstream(prefix_ + ".bin", std::ios::binary) << tokens;
  }
  std::vector<std::string> classes(std::optional<int64_t> vocab_size = std::nullopt) {
    std::vector<std::string> found;
    check_ = check_dataset(prefix_, vocab_size, nullptr);
    for (const DatasetProblem& problem : check_.problems) {
      EXPECT_THAT(problem.text, HasSubstr(prefix_));
      found.emplace_back(dataset_fault_name(problem.fault));
      seen_.insert(problem.fault);
    }
    return found;
  }
  std::vector<std::string> classes_of(const std::function<void(RawIndex&)>& damage) {
    RawIndex index;
    damage(index);
    write(index);
    return classes();
  }
  TemporaryFolder folder_;
  std::string prefix_ = (folder_ / "books").string();
  DatasetCheck check_;
  std::set<DatasetFault> seen_;
};

DataRecord some_record() {
  DataRecord record;
  record.tokenizer = {.kind = "tokenizer.json",
                      .sha256 = "ab",
                      .vocab_size = 300,
                      .end_token = 0,
                      .document_prefix = {},
                      .document_suffix = {}};
  record.documents = 3;
  record.tokens = 7;
  return record;
}

TEST_F(DatasetCheckTest, ASoundPairHasNoProblem) {
  write(RawIndex());
  EXPECT_THAT(classes(), IsEmpty());
  EXPECT_TRUE(check_.readable);
  EXPECT_EQ(check_.documents, 3);
  EXPECT_EQ(check_.tokens, 7);
  EXPECT_EQ(check_.highest_id, 257);
  EXPECT_EQ(check_.vocab_size, std::nullopt);
  write_dataset(prefix_, {}, 0);
  EXPECT_THAT(classes(), IsEmpty());
}

TEST_F(DatasetCheckTest, EveryDamageHasItsClass) {
  EXPECT_THAT(classes_of([](RawIndex& i) { i.magic[2] = 'x'; }), ElementsAre("bad-magic"));
  EXPECT_FALSE(check_.readable);
  EXPECT_THAT(classes_of([](RawIndex& i) { i.magic = std::string("TNTIDX\0\0\0", 9); }),
              ElementsAre("old-format"));
  EXPECT_THAT(classes_of([](RawIndex& i) { i.version = 3; }), ElementsAre("unknown-version"));
  EXPECT_THAT(classes_of([](RawIndex& i) { i.dtype = 6; }), ElementsAre("unknown-type"));
  EXPECT_THAT(classes_of([](RawIndex& i) { i.announced_sequences = 9; }),
              ElementsAre("truncated-index"));
  EXPECT_THAT(classes_of([](RawIndex& i) { i.tail = "abc"; }), ElementsAre("multimodal-index"));
  EXPECT_THAT(classes_of([](RawIndex& i) { i.tail = "abcd"; }),
              ElementsAre("trailing-index-bytes"));
  EXPECT_THAT(classes_of([](RawIndex& i) { i.lengths[0] = -1; }), ElementsAre("negative-length"));
  EXPECT_THAT(classes_of([](RawIndex& i) { i.offsets[2] = 4; }), ElementsAre("descending-offsets"));
  EXPECT_THAT(classes_of([](RawIndex& i) { i.lengths[2] = 5; }), ElementsAre("short-tokens"));
  EXPECT_THAT(classes_of([](RawIndex& i) { i.documents = {}; }),
              ElementsAre("empty-document-index"));
  EXPECT_THAT(classes_of([](RawIndex& i) { i.documents[0] = 1; }),
              ElementsAre("document-index-start"));
  EXPECT_THAT(classes_of([](RawIndex& i) {
                i.documents = {0, 2, 1, 3};
              }),
              ElementsAre("document-index-order"));
  EXPECT_THAT(classes_of([](RawIndex& i) { i.documents[3] = 2; }),
              ElementsAre("document-index-end"));
  EXPECT_THAT(classes_of([](RawIndex& i) { i.lengths[2] = 3; }),
              ElementsAre("trailing-token-bytes"));
  EXPECT_TRUE(check_.readable);
  EXPECT_THAT(classes_of([](RawIndex& i) { i.lengths[0] = 2; }), ElementsAre("gap-in-tokens"));
  EXPECT_THAT(classes_of([](RawIndex& i) {
                i.offsets = {0, 4, 4};
                i.lengths = {3, 0, 5};
              }),
              ElementsAre("overlapping-sequences"));
  write(RawIndex());
  std::filesystem::resize_file(prefix_ + ".idx", 20);
  EXPECT_THAT(classes(), ElementsAre("truncated-header"));
  write(RawIndex());
  EXPECT_THAT(classes(257), ElementsAre("foreign-token", "foreign-token"));
  EXPECT_THAT(check_.problems[0].text, HasSubstr("document 0 has the token id 257 at position 0"));
  write_file_atomically(prefix_ + ".meta.json", "{}");
  EXPECT_THAT(classes(), ElementsAre("damaged-record"));
  DataRecord record = some_record();
  record.tokens = 8;
  write_file_atomically(prefix_ + ".meta.json", data_record_json(record));
  EXPECT_THAT(classes(), ElementsAre("record-mismatch"));
  // Who adds a class adds it here. One is of files that change meanwhile.
  EXPECT_EQ(seen_.size(), static_cast<size_t>(DatasetFault::kRecordMismatch));
  EXPECT_FALSE(seen_.contains(DatasetFault::kLostTokens));
}

TEST_F(DatasetCheckTest, TheRecordsVocabularyCounts) {
  write(RawIndex());
  DataRecord record = some_record();
  write_file_atomically(prefix_ + ".meta.json", data_record_json(record));
  EXPECT_THAT(classes(), IsEmpty());
  EXPECT_EQ(check_.vocab_size, 300);
  record.tokenizer.vocab_size = 257;
  write_file_atomically(prefix_ + ".meta.json", data_record_json(record));
  EXPECT_THAT(classes(), ElementsAre("foreign-token", "foreign-token"));
  EXPECT_THAT(classes(258), IsEmpty());
}

TEST_F(DatasetCheckTest, ManyProblemsAreCounted) {
  write_dataset(prefix_, std::vector<int>(40, 2), 0);
  EXPECT_THAT(classes(10), ::testing::SizeIs(kProblemsOfAKind));
  EXPECT_EQ(check_.further_problems, 35 - static_cast<int64_t>(kProblemsOfAKind));
}

TEST_F(DatasetCheckTest, LargePairsAreReadInBlocks) {
  // 3 x 8 Mi tokens of 2 bytes: several blocks; one bad id in each of two documents.
  write_dataset(prefix_, {100}, 0);
  {
    IndexedDatasetWriter writer(prefix_, TokenType::kU16);
    std::vector<int32_t> tokens(1 << 23, 5);
    for (int i = 0; i < 3; ++i) {
      tokens[1234567] = i == 1 ? 5 : 1000 + i;
      writer.add_document(tokens);
    }
    writer.commit();
  }
  int64_t last = 0;
  const DatasetCheck check = check_dataset(prefix_, 1000, [&](int64_t done, int64_t total) {
    EXPECT_EQ(total, 3 << 24);
    last = std::max(last, done);
  });
  EXPECT_EQ(last, 3 << 24);
  ASSERT_EQ(check.problems.size(), 2u);
  EXPECT_THAT(check.problems[0].text,
              HasSubstr("document 0 has the token id 1000 at position 1234567"));
  EXPECT_THAT(check.problems[1].text, HasSubstr("document 2 has the token id 1002"));
}

}  // namespace
}  // namespace borealis
