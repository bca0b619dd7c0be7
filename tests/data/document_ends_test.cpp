#include "data/document_ends.h"

#include <gtest/gtest.h>

#include "data/batch_loader.h"
#include "kernels/cross_entropy.h"
#include "support/expect_error.h"

namespace borealis {
namespace {

constexpr int32_t X = kNoTarget;

// Two sequences; 0 ends a document.
Batch two_sequences() {
  return {2, 6, {5, 0, 7, 8, 0, 0, 9, 9, 9, 0, 4, 4}, {0, 7, 8, 0, 0, 1, 9, 9, 0, 4, 4, 2}};
}

TEST(DocumentEnds, MasksTheLossAfterAnEnd) {
  Batch batch = two_sequences();
  mark_documents({.token = 0, .mask_loss = true}, batch);
  EXPECT_EQ(batch.targets, (std::vector<int32_t>{0, X, 8, 0, X, X, 9, 9, 0, X, 4, 2}));
  EXPECT_EQ(batch.loss_tokens(), 8);
  EXPECT_TRUE(batch.positions.empty());
  EXPECT_TRUE(batch.document_starts.empty());
}

TEST(DocumentEnds, RestartsPositionsBehindAnEnd) {
  Batch batch = two_sequences();
  mark_documents({.token = 0, .reset_positions = true}, batch);
  EXPECT_EQ(batch.positions, (std::vector<int32_t>{0, 1, 0, 1, 2, 0, 0, 1, 2, 3, 0, 1}));
  EXPECT_EQ(batch.targets, two_sequences().targets);
}

TEST(DocumentEnds, StopsAttentionBehindAnEnd) {
  Batch batch = two_sequences();
  mark_documents({.token = 0, .reset_attention = true}, batch);
  EXPECT_EQ(batch.document_starts, (std::vector<int32_t>{0, 0, 2, 2, 2, 5, 0, 0, 0, 0, 4, 4}));
}

// A batch is filled again and again: what an earlier one left must not stay.
TEST(DocumentEnds, MarksAReusedBatchAnew) {
  Batch batch = two_sequences();
  const DocumentEnds ends{
      .token = 0, .mask_loss = true, .reset_positions = true, .reset_attention = true};
  mark_documents(ends, batch);
  Batch again = batch;
  again.targets = two_sequences().targets;
  mark_documents(ends, again);
  EXPECT_EQ(again.targets, batch.targets);
  EXPECT_EQ(again.positions, batch.positions);
  EXPECT_EQ(again.document_starts, batch.document_starts);
}

TEST(DocumentEnds, NothingIsMarkedUnlessAskedFor) {
  DataConfig config;
  config.eod_token = 3;
  EXPECT_FALSE(document_ends(config));
  config.reset_attention_mask = true;
  ASSERT_TRUE(document_ends(config));
  EXPECT_EQ(document_ends(config)->token, 3);
  EXPECT_FALSE(document_ends(config)->mask_loss);
}

TEST(DocumentEnds, ATokenThatNobodyKnowsIsRefused) {
  DataConfig config;
  config.eod_mask_loss = true;
  EXPECT_ERROR(document_ends(config), ErrorKind::kConfig, "end-of-document", "--eod-token-id");
}

TEST(DocumentEnds, BatchSourcesMarkWhatTheRunAsksFor) {
  RunConfig config;
  config.model.vocab_size = 8;
  config.batch = {.seq_length = 50, .micro_batch_size = 2, .global_batch_size = 2};
  config.limits.train_iters = 2;
  config.data.mock_data = true;
  config.data.split = "1,0,0";
  config.data.eod_token = 6;
  Batch plain, marked;
  make_batch_source(config, Split::kTrain, 0)->next(plain);
  const int64_t plain_bytes = data_memory_bytes(config, describe_data(config));
  config.data.eod_mask_loss = config.data.reset_position_ids = config.data.reset_attention_mask =
      true;
  make_batch_source(config, Split::kTrain, 0)->next(marked);
  EXPECT_EQ(plain.tokens, marked.tokens);
  EXPECT_LT(marked.loss_tokens(), plain.loss_tokens());
  EXPECT_EQ(marked.positions.size(), 100u);
  EXPECT_EQ(marked.document_starts.size(), 100u);
  // Positions and starts beside tokens and targets, of the batch in work and of the next.
  EXPECT_EQ(data_memory_bytes(config, describe_data(config)), plain_bytes + 2 * (2 * 100 * 4));
}

}  // namespace
}  // namespace borealis
