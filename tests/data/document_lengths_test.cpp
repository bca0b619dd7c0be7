#include "data/document_lengths.h"

#include <fstream>

#include "data/data_test_support.h"
#include "data/raw_index.h"

namespace borealis {
namespace {

class DocumentLengthsTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  std::filesystem::path prefix_ = folder_ / "books";
};

TEST_F(DocumentLengthsTest, CountsAndRanks) {
  std::vector<int> lengths(100);
  std::iota(lengths.rbegin(), lengths.rend(), 1);  // 100 .. 1
  write_dataset(prefix_, lengths);
  const DocumentLengths measured = measure_documents(IndexedDataset(prefix_));
  EXPECT_EQ(measured.documents, 100);
  EXPECT_EQ(measured.tokens, 5050);
  EXPECT_EQ(measured.shortest, 1);
  EXPECT_EQ(measured.longest, 100);
  EXPECT_DOUBLE_EQ(measured.mean, 50.5);
  EXPECT_EQ(measured.percentile_10, 10);
  EXPECT_EQ(measured.median, 50);
  EXPECT_EQ(measured.percentile_90, 90);
  EXPECT_EQ(measured.percentile_99, 99);
  ASSERT_EQ(measured.buckets.size(), 7u);
  EXPECT_EQ(measured.buckets[2].lowest, 4);
  EXPECT_EQ(measured.buckets[2].highest, 7);
  EXPECT_EQ(measured.buckets[2].documents, 4);
  EXPECT_EQ(measured.buckets[2].tokens, 22);
  EXPECT_EQ(measured.buckets[6].documents, 37);
}

TEST_F(DocumentLengthsTest, SequencesOfADocumentAddUp) {
  RawIndex index;
  index.documents = {0, 2, 2, 3};
  index.lengths = {3, 2, 2};
  index.offsets = {0, 6, 10};
  std::ofstream(prefix_.string() + ".idx", std::ios::binary) << index.bytes();
  std::ofstream(prefix_.string() + ".bin", std::ios::binary) << std::string(14, '\0');
  const DocumentLengths measured = measure_documents(IndexedDataset(prefix_));
  EXPECT_EQ(measured.shortest, 0);
  EXPECT_EQ(measured.median, 2);
  EXPECT_EQ(measured.longest, 5);
  ASSERT_EQ(measured.buckets.size(), 4u);
  EXPECT_EQ(measured.buckets[0].documents, 1);
  EXPECT_EQ(measured.buckets[1].documents, 0);
}

TEST_F(DocumentLengthsTest, OfNothing) {
  write_dataset(prefix_, {});
  const DocumentLengths measured = measure_documents(IndexedDataset(prefix_));
  EXPECT_EQ(measured.documents, 0);
  EXPECT_TRUE(measured.buckets.empty());
}

}  // namespace
}  // namespace borealis
