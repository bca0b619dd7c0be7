#include "data/sequence_part.h"

#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "kernels/cross_entropy.h"

namespace borealis {
namespace {

using Tokens = std::vector<int32_t>;

// Batches of two sequences of six tokens, numbered through; every third target does not count.
class Numbers : public BatchSource {
 public:
  explicit Numbers(bool documents) : documents_(documents) {}
  void next(Batch& batch) override {
    batch = {.batch_size = 2, .seq_length = 6, .tokens = Tokens(12), .targets = Tokens(12)};
    std::iota(batch.tokens.begin(), batch.tokens.end(), next_);
    std::iota(batch.targets.begin(), batch.targets.end(), next_ + 1);
    for (size_t i = 2; i < 12; i += 3) batch.targets[i] = kNoTarget;
    if (documents_) {
      batch.positions = {0, 1, 2, 3, 0, 1, 0, 0, 1, 2, 3, 4};
      batch.document_starts = {0, 0, 0, 0, 4, 4, 0, 1, 1, 1, 1, 1};
    }
    next_ += 12;
  }
  void skip() override { next_ += 12; }

 private:
  bool documents_;
  int32_t next_ = 0;
};

TEST(SequencePart, HasItsRunOfEverySequence) {
  SequencePart part(std::make_unique<Numbers>(false), 1, 3);
  Batch batch;
  part.next(batch);
  EXPECT_EQ(batch.batch_size, 2);
  EXPECT_EQ(batch.seq_length, 2);
  EXPECT_EQ(batch.tokens, (Tokens{2, 3, 8, 9}));
  EXPECT_EQ(batch.targets, (Tokens{kNoTarget, 4, kNoTarget, 10}));
  EXPECT_EQ(batch.positions, (Tokens{2, 3, 2, 3})) << "within the sequence";
  EXPECT_TRUE(batch.document_starts.empty());
  EXPECT_EQ(batch.loss_tokens(), 2);
  EXPECT_EQ(batch.loss_tokens_of_sequences(), 8);
  EXPECT_EQ(batch.tokens_of_sequences(), 12);
  part.skip();
  part.next(batch);
  EXPECT_EQ(batch.tokens, (Tokens{26, 27, 32, 33}));
}

TEST(SequencePart, KnowsTheDocumentsOfWholeSequences) {
  SequencePart part(std::make_unique<Numbers>(true), 1, 2);
  Batch batch;
  part.next(batch);
  EXPECT_EQ(batch.positions, (Tokens{3, 0, 1, 2, 3, 4}));
  EXPECT_EQ(batch.document_starts, (Tokens{0, 0, 0, 0, 4, 4, 0, 1, 1, 1, 1, 1}));
}

}  // namespace
}  // namespace borealis
