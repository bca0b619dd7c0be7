#include "data/index_cache.h"

#include <algorithm>

#include "base/log.h"
#include "data/batch_loader.h"
#include "data/data_test_support.h"
#include "data/index_check.h"
#include "support/dead_process.h"

namespace borealis {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Md5, EqualsTheStandardsVectors) {
  EXPECT_EQ(md5_hex(""), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(md5_hex("message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
}

class IndexCacheTest : public ::testing::Test {
 protected:
  IndexCacheTest() {
    write_dataset(folder_ / "x", {5, 9, 3, 12, 7});
    data_ = std::make_unique<IndexedDataset>(folder_ / "x");
    request_ = {.data = data_.get(),
                .listed_prefix = "data/x",
                .range = {.first = 0, .last = 5, .tokens = 36},
                .requested = 5};
    settings_ = {.folder = folder_ / "cache",
                 .split = Split::kTrain,
                 .seq_length = 8,
                 .seed = 1234,
                 .split_text = "990,10,0"};
  }

  // What is written to the log while the index is read or built.
  std::string log_of(SampleIndex* index = nullptr) {
    testing::internal::CaptureStdout();
    auto indices = cached_sample_indices({request_}, settings_);
    if (index != nullptr) *index = std::move(indices[0]);
    return testing::internal::GetCapturedStdout();
  }

  TemporaryFolder folder_;
  std::unique_ptr<IndexedDataset> data_;
  FileIndexRequest request_;
  IndexSettings settings_;
};

TEST_F(IndexCacheTest, DescribesAnIndexAsTheReferenceDoes) {
  EXPECT_EQ(sample_index_description(settings_, request_),
            "GPT Dataset\n\nData prefix data/x\nDataset name train\nNumber of samples 5\n"
            "Number of epochs 2\nSequence length 8\nRandom seed 1234\nSplit 990,10,0\n");
}

TEST_F(IndexCacheTest, BuildsOnceAndReadsFromThenOn) {
  SampleIndex built(data_->lengths(), request_.range, 8, 5, 1234);
  const SampleIndex expected = built;
  EXPECT_THAT(log_of(&built), HasSubstr("built the sample index of 1 of 1 files (8 samples"));
  EXPECT_THAT(log_of(&built), Not(HasSubstr("built")));
  const SampleIndexArrays& arrays = built.arrays();
  ASSERT_EQ(arrays.starts.size(), 9);
  for (int64_t i = 0; i < 9; ++i) EXPECT_EQ(arrays.starts[i], expected.arrays().starts[i]);
  ASSERT_EQ(arrays.document_order.size(), 10);
  for (int64_t i = 0; i < 10; ++i) {
    EXPECT_EQ(arrays.document_order[i], expected.arrays().document_order[i]);
  }
  ASSERT_EQ(built.sample_count(), 8);
  for (int64_t i = 0; i < 8; ++i) {
    EXPECT_EQ(arrays.sample_order[i], expected.arrays().sample_order[i]);
  }
  const std::string name = md5_hex(sample_index_description(settings_, request_));
  EXPECT_EQ(read_text_file(folder_ / "cache" / (name + ".dsc")),
            sample_index_description(settings_, request_));
}

TEST_F(IndexCacheTest, KeysOnEverything) {
  const std::string before = sample_index_description(settings_, request_);
  request_.requested = 6;
  EXPECT_NE(sample_index_description(settings_, request_), before);
  settings_.split = Split::kTest;
  EXPECT_THAT(sample_index_description(settings_, request_), HasSubstr("Dataset name test\n"));
}

TEST_F(IndexCacheTest, RemovesWhatAKilledBuilderLeft) {
  std::string partial = partial_path_of(settings_.folder / "m_doc_idx.npy").string();
  partial = partial.substr(0, partial.rfind('.') + 1) + std::to_string(dead_process());
  borealis::create_directories(settings_.folder);
  write_file_atomically(partial, "half");
  EXPECT_THAT(log_of(), HasSubstr("built"));
  EXPECT_FALSE(std::filesystem::exists(partial));
}

TEST_F(IndexCacheTest, KeepsAnIndexInMemoryWhereTheFolderCannotBeMade) {
  write_file_atomically(folder_ / "cache", "a file in the way");
  SampleIndex index(data_->lengths(), request_.range, 8, 5, 1);
  EXPECT_THAT(log_of(&index), HasSubstr("is not kept in"));
  EXPECT_EQ(index.sample_count(), 8);
}

class IndexCheckTest : public IndexCacheTest {
 protected:
  IndexCheckTest() : shape_(sample_index_shape(request_.range, 8, 5)) {
    const SampleIndex index(data_->lengths(), request_.range, 8, 5, 1234);
    const SampleIndexArrays& arrays = index.arrays();
    for (int64_t i = 0; i < arrays.document_order.size(); ++i) {
      documents_.push_back(arrays.document_order[i]);
    }
    for (int64_t i = 0; i < arrays.starts.size(); ++i) starts_.push_back(arrays.starts[i]);
    for (int64_t i = 0; i < index.sample_count(); ++i) {
      order_.push_back(static_cast<uint32_t>(arrays.sample_order[i]));
    }
  }
  void check() {
    SampleIndexArrays arrays;
    arrays.document_order = PackedArray<int32_t>(std::span<const int32_t>(documents_));
    arrays.starts = PackedArray<StreamPlace>(std::span<const StreamPlace>(starts_));
    arrays.sample_order = {reinterpret_cast<const std::byte*>(order_.data()), shape_.samples,
                           false};
    check_sample_index(arrays, data_->lengths(), request_.range, shape_, 8, "c", [] {});
  }

  SampleIndexShape shape_;
  std::vector<int32_t> documents_;
  std::vector<StreamPlace> starts_;
  std::vector<uint32_t> order_;
};

TEST_F(IndexCheckTest, TakesWhatWasBuilt) { check(); }

TEST_F(IndexCheckTest, RefusesDocumentsOutsideOfTheSplit) {
  documents_[3] = 5;
  EXPECT_ERROR_THAT(check(), ErrorKind::kData, HasSubstr("c_doc_idx.npy: element 3 does not fit"));
  documents_[3] = -1;
  EXPECT_ERROR_THAT(check(), ErrorKind::kData, HasSubstr("c_doc_idx.npy: element 3"));
}

TEST_F(IndexCheckTest, RefusesADocumentTooOften) {
  std::ranges::fill(documents_, 1);
  EXPECT_ERROR_THAT(check(), ErrorKind::kData, HasSubstr("c_doc_idx.npy: element 2"));
}

TEST_F(IndexCheckTest, RefusesStartsThatAreNotASequenceApart) {
  ++starts_[4].offset;
  EXPECT_ERROR_THAT(check(), ErrorKind::kData, HasSubstr("c_sample_idx.npy: element 4"));
  starts_[0] = {1, 0};
  EXPECT_ERROR_THAT(check(), ErrorKind::kData, HasSubstr("c_sample_idx.npy: element 0"));
}

TEST_F(IndexCheckTest, RefusesAnOrderThatIsNoPermutation) {
  order_[2] = order_[5];
  EXPECT_ERROR_THAT(check(), ErrorKind::kData, HasSubstr("c_shuffle_idx.npy: element 5"));
  order_[2] = 8;
  EXPECT_ERROR_THAT(check(), ErrorKind::kData, HasSubstr("c_shuffle_idx.npy: element 2"));
}

}  // namespace
}  // namespace borealis
