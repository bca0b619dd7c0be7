#include "planner/communication.h"

#include <gtest/gtest.h>

#include "model/accounting.h"
#include "support/small_models.h"

namespace borealis {
namespace {

using testing::report_llama3;

// 100 bytes/s and 1 s within a host, 10 bytes/s and 2 s between: the sums by hand.
TEST(Communication, AllReduceOfEachKind) {
  Links links = {.within_host_bytes_per_s = 100,
                 .within_host_latency_s = 1,
                 .between_hosts_bytes_per_s = 10,
                 .between_hosts_latency_s = 2,
                 .all_reduce = AllReduce::kFlat};
  EXPECT_EQ(all_reduce_seconds(links, 800, 1, 1), 0);
  EXPECT_NEAR(all_reduce_seconds(links, 800, 1, 4), 2 * 3 * (8 + 1), 1e-12);
  EXPECT_NEAR(all_reduce_seconds(links, 800, 2, 4), 2 * 7 * (80 + 2), 1e-12);
  links.all_reduce = AllReduce::kRing;
  EXPECT_NEAR(all_reduce_seconds(links, 800, 1, 4), 2 * 3 * (2 + 1), 1e-12);
  EXPECT_NEAR(all_reduce_seconds(links, 800, 2, 4), 2 * 7 * (10 + 2), 1e-12);
  links.all_reduce = AllReduce::kHierarchical;
  EXPECT_NEAR(all_reduce_seconds(links, 800, 1, 4), 2 * 3 * (2 + 1), 1e-12);
  EXPECT_NEAR(all_reduce_seconds(links, 800, 2, 4), 2 * 3 * (2 + 1) + 2 * 1 * (40 + 2), 1e-12);
  EXPECT_NEAR(all_reduce_seconds(links, 800, 2, 1), 2 * 1 * (40 + 2), 1e-12);
}

// The same links; of four parts three are others'.
TEST(Communication, ExchangeBetweenThePartsOfASequence) {
  const Links links = {.within_host_bytes_per_s = 100,
                       .within_host_latency_s = 1,
                       .between_hosts_bytes_per_s = 10,
                       .between_hosts_latency_s = 2};
  EXPECT_EQ(exchange_seconds(links, 800, 1, 4), 0);
  EXPECT_NEAR(exchange_seconds(links, 800, 4, 4), 3 * (2 + 1), 1e-12);
  EXPECT_NEAR(exchange_seconds(links, 800, 4, 8), 3 * (2 + 1), 1e-12);
  EXPECT_NEAR(exchange_seconds(links, 800, 4, 2), 1 * (2 + 1) + 2 * (40 + 2), 1e-12);
  EXPECT_NEAR(exchange_seconds(links, 800, 4, 1), 3 * (20 + 2), 1e-12);
}

// Of S bytes between two ranks, an all-reduce takes S / 1e9 seconds.
constexpr Links kLinks = {.within_host_bytes_per_s = 1e9, .between_hosts_bytes_per_s = 1e9};

// Four layers of l parameters (norms with them), an embedding and a head of h.
struct TwoRanks {
  StepShape shape = {
      .model = report_llama3(4), .seq_length = 8192, .grad_accum_steps = 2, .ranks_per_host = 2};
  double N = 1'975'544'832;
  double h = 256'000.0 * 3072;
  double l = (N - 2 * h) / 4;
  double rows = 2 * 2 * 8192.0 * 3072;  // of the tokens of both ranks

  double seconds(double passes_s) const {
    return communication_seconds(shape, TrainingStack::kBorealis, kLinks, passes_s);
  }
};

TEST(Communication, OneRankWaitsForNobody) {
  TwoRanks two;
  two.shape.ranks_per_host = 1;
  EXPECT_EQ(two.seconds(1), 0);
}

TEST(Communication, OfTheReferenceIsBesideNothing) {
  TwoRanks two;
  const auto seconds = [&](double passes_s) {
    return communication_seconds(two.shape, TrainingStack::kMegatronDeepSpeed, kLinks, passes_s);
  };
  EXPECT_NEAR(seconds(0), 3 * two.N * 1e-9, 1e-6);
  EXPECT_EQ(seconds(100), seconds(0));
  two.shape.zero_stage = 3;
  EXPECT_NEAR(seconds(0), (3 + 2 * 2) * two.N * 1e-9, 1e-6);
}

// Passes of no time leave everything uncovered: what travels can be counted.
TEST(Communication, WhatTravelsAtEachStage) {
  TwoRanks two;
  const double dense = two.h + 4 * two.l;  // head and layers; of the embedding rows
  EXPECT_NEAR(two.seconds(0), 4 * (dense + two.rows) * 1e-9, 1e-6);
  // A reduce-scatter is half, and so is gathering the bf16 weights.
  two.shape.zero_stage = 1;
  EXPECT_NEAR(two.seconds(0), (2 * dense + 4 * two.rows + two.N) * 1e-9, 1e-6);
  two.shape.zero_stage = 2;
  EXPECT_NEAR(two.seconds(0), (2 * 2 * dense + 4 * two.rows + two.N) * 1e-9, 1e-6);
  // A micro-batch gathers embedding, layers, head, and the first two layers once more; the second
  // has those two from the first.
  two.shape.zero_stage = 3;
  const double gathered = 2 * 2 * two.h + (4 + 2 + 2 + 2) * two.l;
  EXPECT_NEAR(two.seconds(0), (2 * 2 * dense + 4 * two.rows + gathered) * 1e-9, 1e-6);
  two.shape.grad_reduce_dtype = DType::kBF16;
  EXPECT_NEAR(two.seconds(0), (2 * dense + 4 * two.rows + gathered) * 1e-9, 1e-6);
}

TEST(Communication, RecomputedSegmentsAreGatheredOnceMore) {
  TwoRanks two;
  two.shape.zero_stage = 3;
  two.shape.grad_accum_steps = 1;
  const double kept = two.seconds(0);
  // A layer is still in its place when its backward pass follows at once.
  two.shape.recompute_segment = 1;
  EXPECT_NEAR(two.seconds(0), kept, 1e-6);
  // Layers 3 and 2 are in their places; 0 and 1 come for their second forward pass, and stay.
  two.shape.recompute_segment = 2;
  EXPECT_NEAR(two.seconds(0), kept, 1e-6);
  two.shape.model = report_llama3(8);
  two.shape.recompute_segment = 4;
  two.l = (static_cast<double>(parameter_count(two.shape.model)) - 2 * two.h) / 8;
  // 7 to 4 backward (two gathered), 0 to 3 forward again (all), 1 and 0 backward (both).
  EXPECT_NEAR(two.seconds(0) - (2 * (two.h + 8 * two.l) + 2 * two.rows) * 1e-9,
              (2 * two.h + (8 + 2 + 4 + 2) * two.l) * 1e-9, 1e-6);
}

TEST(Communication, ATiedEmbeddingIsSummedWholeAndLast) {
  TwoRanks two;
  two.shape.model.tie_word_embeddings = true;
  EXPECT_NEAR(two.seconds(0), 4 * (two.N - two.h) * 1e-9, 1e-6);
  EXPECT_NEAR(two.seconds(1e6), 4 * (two.l + two.h) * 1e-9, 1e-6) << "no pass is left beside it";
}

// Behind long passes the first layer's gradients and the embedding's rows are left.
TEST(Communication, LongPassesCoverAllButTheLast) {
  TwoRanks two;
  EXPECT_NEAR(two.seconds(1e6), (4 * two.l + 4 * two.rows) * 1e-9, 1e-6);
  // The updated weights of the embedding and the first layer have nothing to go on beside.
  for (const int64_t stage : {1, 2}) {
    two.shape.zero_stage = stage;
    EXPECT_NEAR(two.seconds(1e6), (two.h + two.l + 2 * two.l + 4 * two.rows) * 1e-9, 1e-6) << stage;
  }
  // The embedding's weights are waited for at the beginning of each micro-batch, at the second
  // behind the first layer's gradients; and the first layer's at the first, since the embedding
  // takes no time beside which they could come.
  two.shape.zero_stage = 3;
  EXPECT_NEAR(two.seconds(1e6), (2 * two.h + two.l + 2 * 2 * two.l + 4 * two.rows) * 1e-9, 1e-6);
}

// The link is busy from when the head is done, so the layers' backward passes cover their own time
// of it, and nothing more.
TEST(Communication, ShortPassesCoverTheirOwnTime) {
  TwoRanks two;
  two.shape.grad_accum_steps = 1;
  const double layer =
      6.0 * (3072 * (3072 + 2 * 1024) + 3072 * 3072 + 3 * 3072 * 8192) + 12.0 * 3072 * 8192;
  const double backward = 4 * layer * 2 / 3 / (4 * layer + 6 * two.h);  // of the layers
  const double all = two.seconds(0);
  for (const double passes_s : {0.5, 1.0, 3.0}) {
    EXPECT_NEAR(two.seconds(passes_s), all - backward * passes_s, 1e-6) << passes_s;
  }
}

// Where the link carries less than the passes bring, each micro-batch more waits as long as the one
// before it; where it carries more, only the last waits.
TEST(Communication, ManyMicroBatchesAreAsFew) {
  TwoRanks two;
  const auto of_micro_batches = [&](int64_t g, double s_each) {
    two.shape.grad_accum_steps = g;
    two.shape.seq_length = 64;  // the embedding's rows are more by as many, too
    return two.seconds(static_cast<double>(g) * s_each);
  };
  for (const int64_t stage : {0, 1, 2, 3}) {
    two.shape.zero_stage = stage;
    for (const double s_each : {0.0, 2.0, 100.0}) {
      const double four = of_micro_batches(4, s_each), eight = of_micro_batches(8, s_each);
      EXPECT_NEAR(of_micro_batches(16, s_each), eight + 2 * (eight - four), 1e-6)
          << stage << " " << s_each;
    }
  }
}

// hpZ: the second time in a step the weights come from ranks of the host, over its link.
TEST(Communication, SecondaryShardsAreGatheredWithinAHost) {
  Links links = kLinks;
  links.within_host_bytes_per_s = 1e12;
  StepShape shape = {.model = report_llama3(8),
                     .seq_length = 8192,
                     .grad_accum_steps = 4,
                     .zero_stage = 3,
                     .hosts = 2,
                     .ranks_per_host = 4};
  const auto seconds = [&] {
    return communication_seconds(shape, TrainingStack::kBorealis, links, 0);
  };
  const double without = seconds();
  shape.zero_hpz_partition_size = 4;
  const double with = seconds();
  const double N = static_cast<double>(parameter_count(shape.model)), h = 256'000.0 * 3072;
  const double l = (N - 2 * h) / 8;
  // Gathered over both hosts before: 4 x (embedding, head, 6 layers forward and 6 backward) and
  // twice more the first two; now everything once.
  const double saved_elements = 4 * (2 * h + 12 * l) + 2 * l - (2 * h + 8 * l);
  EXPECT_NEAR((without - with) / (saved_elements * 1e-9), 1, 0.01);
}

}  // namespace
}  // namespace borealis
