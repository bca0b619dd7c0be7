#include "data/brief_check.h"

#include <fstream>

#include "data/data_test_support.h"
#include "data/raw_index.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class BriefCheckTest : public ::testing::Test {
 protected:
  std::vector<std::string> classes(const RawIndex& index, const std::string& tokens,
                                   std::optional<int64_t> vocab_size = {},
                                   const std::optional<DataRecord>& record = {}) {
    std::ofstream(prefix_ + ".idx", std::ios::binary) << index.bytes();
    std::ofstream(prefix_ + ".bin", std::ios::binary) << tokens;
    std::vector<std::string> found;
    for (const DatasetProblem& problem : brief_check(IndexedDataset(prefix_), record, vocab_size)) {
      EXPECT_THAT(problem.text, HasSubstr(prefix_));
      found.emplace_back(dataset_fault_name(problem.fault));
    }
    return found;
  }
  TemporaryFolder folder_;
  std::string prefix_ = (folder_ / "books").string();
  std::string tokens_ = std::string("\1\0\2\0\3\0\4\0\5\0\6\0\7\0", 14);
};

TEST_F(BriefCheckTest, ASoundPairHasNoProblem) {
  EXPECT_THAT(classes({}, tokens_), IsEmpty());
  EXPECT_THAT(classes({}, tokens_, 8), IsEmpty());
}

TEST_F(BriefCheckTest, FindsAPointerThatIsOffByAByte) {
  RawIndex index;
  index.offsets = {0, 7, 7};
  EXPECT_THAT(classes(index, tokens_ + "x"), ElementsAre("gap-in-tokens"));
  index.offsets = {0, 5, 6};
  EXPECT_THAT(classes(index, tokens_), ElementsAre("overlapping-sequences", "gap-in-tokens"));
}

TEST_F(BriefCheckTest, FindsWideTokensThatAreLabelledNarrow) {
  RawIndex index;
  index.lengths = {2, 3};
  index.offsets = {0, 8};
  index.documents = {0, 1, 2};
  index.dtype = 4;
  const std::string wide(20, '\0');
  EXPECT_THAT(classes(index, wide), IsEmpty());
  index.dtype = 8;
  EXPECT_THAT(classes(index, wide), ElementsAre("gap-in-tokens"));
}

TEST_F(BriefCheckTest, HoldsIdsAgainstEitherVocabulary) {
  EXPECT_THAT(classes({}, tokens_, 7), ElementsAre("foreign-token"));
  DataRecord record;
  record.documents = 3;
  record.tokens = 7;
  record.tokenizer.vocab_size = 3;
  EXPECT_THAT(classes({}, tokens_, 100, record), ElementsAre("foreign-token", "foreign-token"));
  record.tokenizer.vocab_size = 100;
  record.tokens = 8;
  EXPECT_THAT(classes({}, tokens_, 100, record), ElementsAre("record-mismatch"));
}

TEST_F(BriefCheckTest, WarnsOnceOfEachKind) {
  RawIndex index;
  index.offsets = {1, 8, 9};
  classes(index, tokens_ + "xyz");
  const IndexedDataset data(prefix_, IndexedDataset::ExtraTokens::kAccept);
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  warn_of_damage(data, brief_check(data, {}));
  const std::string log =
      testing::internal::GetCapturedStdout() + testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("gap-in-tokens: "));
  EXPECT_THAT(log, HasSubstr("and 2 more like it"));
  EXPECT_THAT(log, HasSubstr("`borealis data verify " + prefix_ + "`"));
}

}  // namespace
}  // namespace borealis
