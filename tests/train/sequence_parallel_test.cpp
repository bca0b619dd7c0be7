// Ranks as threads that share sequences: what they compute is what one rank does with the whole.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "comm/communicator.h"
#include "model/accounting.h"
#include "support/expect_error.h"
#include "support/late_weights.h"
#include "support/ranked_run.h"

namespace borealis {
namespace {

using testing::RankedRunTest;
using testing::Result;

// A rank that is lost in an exchange of heads: the one before which `left` others were.
class LostInExchange : public testing::LateWeights {
 public:
  LostInExchange(Communicator& ranks, std::atomic<int>& left) : LateWeights(ranks), left_(left) {}
  LostInExchange(std::unique_ptr<Communicator> ranks, std::atomic<int>& left)
      : LateWeights(std::move(ranks)), left_(left) {}
  std::unique_ptr<Communicator> split(int64_t color) override {
    return std::make_unique<LostInExchange>(LateWeights::split(color), left_);
  }
  Request start_exchange_bytes(std::span<const std::span<const std::byte>> to,
                               std::span<const std::span<std::byte>> from,
                               std::string_view what) override {
    if (what == "exchanging attention's heads" && rank() == 1 && left_-- == 0) {
      throw Error(ErrorKind::kFile, "rank 1 in an exchange");
    }
    return LateWeights::start_exchange_bytes(to, from, what);
  }

 private:
  std::atomic<int>& left_;
};

class SequenceParallelTest : public RankedRunTest {
 protected:
  void SetUp() override {
    RankedRunTest::SetUp();
    config_.model.num_attention_heads = 8;
    config_.model.num_key_value_heads = 4;
    config_.model.head_dim = 6;
    config_.batch.global_batch_size = 8;
    config_.limits.train_iters = 20;
    config_.limits.eval_interval = 10;
  }

  Result run_shared(int64_t ranks, int64_t parts, int64_t micro_batch_size = 1) {
    RunConfig whole = config_;
    config_.parallel.sequence_parallel_size = parts;
    Result result = run(ranks, micro_batch_size);
    config_ = whole;
    return result;
  }

  std::unique_ptr<Communicator> make_communicator(Communicator& of_threads) override {
    if (exchanges_ < 0) return RankedRunTest::make_communicator(of_threads);
    return std::make_unique<LostInExchange>(of_threads, exchanges_);
  }

  std::atomic<int> exchanges_ = -1;  // until a rank is lost; none is
};

TEST_F(SequenceParallelTest, LossesAreThoseOfOneRank) {
  const Result one = run(1);
  expect_equal(one, run_shared(2, 2));
  expect_equal(one, run_shared(4, 4));
  expect_equal(one, run_shared(2, 2, 4));
}

TEST_F(SequenceParallelTest, AlsoBesideDataParallelism) {
  const Result one = run(1);
  expect_equal(one, run_shared(4, 2));
  expect_equal(one, run_shared(8, 4, 2));
}

// A layer without RoPE; heads that are together wider than the residual stream; a tied head.
TEST_F(SequenceParallelTest, AlsoWithOtherShapes) {
  config_.model.rope_on_layer = {true, false};
  config_.model.head_dim = 10;
  expect_equal(run(1, 2), run_shared(2, 2, 2));
  config_.model.tie_word_embeddings = true;
  expect_equal(run(1), run_shared(4, 2));
}

// So many entries that a rank keeps the embedding's gradient by rows: of its own tokens, then of
// all.
TEST_F(SequenceParallelTest, AlsoWithTheEmbeddingsGradientByRows) {
  config_.model.vocab_size = 4096;
  config_.batch.global_batch_size = 2;
  RunConfig of_four = config_;
  of_four.parallel.world_size = 4;
  of_four.parallel.sequence_parallel_size = 2;
  ASSERT_TRUE(make_run_layout(of_four, 1).embedding_rows);
  const Result one = run(1);
  expect_equal(one, run_shared(2, 2));
  expect_equal(one, run_shared(4, 2));
}

TEST_F(SequenceParallelTest, RecomputeAndEveryZeroStageHaveTheSameBits) {
  const Result plain = run_shared(4, 2, 4);
  for (const int64_t stage : {1, 2, 3}) {
    config_.parallel.zero_stage = stage;
    expect_same_bits(plain, run_shared(4, 2, 4));
  }
  config_.recompute = {.enabled = true, .layers_per_segment = 1};
  expect_same_bits(plain, run_shared(4, 2, 4));
}

TEST_F(SequenceParallelTest, TwoRunsGiveTheSameBits) {
  config_.dtype = DType::kBF16;
  expect_same_bits(run_shared(4, 4), run_shared(4, 4));
}

// Each rounding to bf16 is the same but of gradients' sums: the first loss has seen none.
TEST_F(SequenceParallelTest, AlsoInBf16) {
  config_.dtype = DType::kBF16;
  const Result one = run(1), shared = run_shared(4, 4);
  EXPECT_NEAR(shared.steps.front().lm_loss, one.steps.front().lm_loss, 1e-6);
  expect_equal(one, shared, 1e-3);
}

// Documents begin anywhere: attention, positions and the mean of the loss are of whole sequences.
TEST_F(SequenceParallelTest, DocumentsReachOverParts) {
  config_.data.eod_token = 5;
  config_.data.reset_attention_mask = true;
  config_.data.reset_position_ids = true;
  config_.data.eod_mask_loss = true;
  config_.model.vocab_size = 16;  // a document ends every 16 tokens
  for (const LossMean mean : {LossMean::kTokens, LossMean::kMicroBatch}) {
    config_.optimizer.loss_mean = mean;
    const Result one = run(1, 2);
    expect_equal(one, run_shared(2, 2, 2));
    expect_equal(one, run_shared(4, 4, 2));
    config_.data.reset_attention_mask = false;
    expect_equal(run(1, 2), run_shared(4, 2, 2));
    config_.data.reset_attention_mask = true;
  }
}

TEST_F(SequenceParallelTest, ACheckpointGoesOnWithOtherParts) {
  const Result whole = run(1);
  config_.output.save_checkpoints = true;
  config_.limits.train_iters = 8;
  config_.parallel.zero_stage = 2;
  run_shared(4, 4);
  config_.limits.train_iters = 14;
  EXPECT_EQ(run_shared(4, 2).steps.front().iteration, 9);
  config_.limits.train_iters = 20;
  const Result last = run(1);
  ASSERT_EQ(last.steps.size(), 6U);
  for (size_t i = 0; i < last.steps.size(); ++i) {
    const double of_whole = whole.steps[14 + i].lm_loss;
    EXPECT_NEAR(last.steps[i].lm_loss, of_whole, 1e-6 * of_whole);
  }
}

// In the first forward pass, in its backward pass, and in a later step.
TEST_F(SequenceParallelTest, ARankThatIsLostInAnExchangeEndsTheRunOnAll) {
  for (const int64_t stage : {0, 1, 3}) {
    config_.parallel.zero_stage = stage;
    for (const int exchange : {0, 5, 30}) {
      exchanges_ = exchange;
      EXPECT_ERROR(run_shared(2, 2), ErrorKind::kFile, "rank 1 in an exchange");
      EXPECT_LT(exchanges_, 0);
    }
  }
}

// The rank's share of a layer's activations is that of its tokens, and what is exchanged besides.
TEST_F(SequenceParallelTest, ActivationsAreOfTheRanksTokens) {
  config_.batch.seq_length = 1024;
  config_.parallel.world_size = 4;
  const auto bytes_with = [&](int64_t parts) {
    config_.parallel.sequence_parallel_size = parts;
    const DecoderShape shape = make_run_layout(config_, 1).decoder;
    EXPECT_EQ(shape.rows(), 1024 / parts);
    EXPECT_EQ(shape.attention().seq_length, 1024);
    EXPECT_EQ(shape.attention().num_heads, 8 / parts);
    EXPECT_EQ(shape.attention().num_key_value_heads, 4 / parts);
    DecoderArenas arenas = DecoderArenas::measuring();
    const DecoderBuffers<float> buffers(shape, arenas);
    const MemoryPlan plan = plan_memory(make_run_layout(config_, 1), {}, 0, 0);
    EXPECT_EQ(plan.tables_bytes, 1024 * config_.model.head_dim * 4) << "RoPE of all positions";
    return arenas.activations.used_bytes();
  };
  const int64_t whole = bytes_with(1);
  for (const int64_t parts : {2, 4}) {
    const int64_t attention =
        config_.model.num_hidden_layers * 1024 / parts * config_.model.query_size() * 4;
    EXPECT_NEAR(static_cast<double>(bytes_with(parts)),
                static_cast<double>(whole / parts + attention), 64.0 * 30)
        << parts;  // paddings to cache lines
  }
}

}  // namespace
}  // namespace borealis
