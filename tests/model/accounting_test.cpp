#include "model/accounting.h"

#include <gtest/gtest.h>

#include "model/parameter_layout.h"
#include "support/small_models.h"

namespace borealis {
namespace {

using testing::report_llama3;
using testing::report_smollm3;
using testing::small_llama;

struct Row {
  int64_t layers;
  int64_t parameters;
  double gflop_per_token;  // contract section 6.3
};

// The performance report's twelve models, to the last digit.
TEST(Accounting, ReproducesTheReportsLlama3Sizes) {
  for (const Row& row : {Row{4, 1975544832, 8.342470656}, Row{6, 2176883712, 10.154409984},
                         Row{8, 2378222592, 11.966349312}, Row{10, 2579561472, 13.778288640},
                         Row{12, 2780900352, 15.590227968}, Row{14, 2982239232, 17.402167296}}) {
    const ModelConfig model = report_llama3(row.layers);
    EXPECT_EQ(parameter_count(model), row.parameters);
    EXPECT_EQ(make_parameter_table(model).parameter_count(), row.parameters);
    EXPECT_DOUBLE_EQ(flops_per_token(model, 8192), row.gflop_per_token * 1e9);
  }
}

TEST(Accounting, ReproducesTheReportsSmolLm3Sizes) {
  for (const Row& row : {Row{8, 1673562112, 8.506048512}, Row{10, 1829808128, 9.846128640},
                         Row{12, 1986054144, 11.186208768}, Row{14, 2142300160, 12.526288896},
                         Row{16, 2298546176, 13.866369024}, Row{18, 2454792192, 15.206449152}}) {
    const ModelConfig model = report_smollm3(row.layers);
    EXPECT_EQ(parameter_count(model), row.parameters);
    EXPECT_EQ(make_parameter_table(model).parameter_count(), row.parameters);
    EXPECT_DOUBLE_EQ(flops_per_token(model, 8192), row.gflop_per_token * 1e9);
  }
}

TEST(Accounting, TheTableCountsWhatTheFormulaCounts) {
  for (const bool tied : {false, true}) {
    ModelConfig model = small_llama();
    model.tie_word_embeddings = tied;
    model.head_dim = 14;  // not hidden / heads
    EXPECT_EQ(make_parameter_table(model).parameter_count(), parameter_count(model));
  }
}

RunConfig run_config(const ModelConfig& model) {
  RunConfig config;
  config.model = model;
  config.batch.seq_length = 64;
  config.batch.micro_batch_size = 2;
  return config;
}

MemoryPlan plan_of(const RunConfig& config, int64_t data_bytes = 0, int64_t program_bytes = 0) {
  return plan_memory(make_run_layout(config, 2), {}, data_bytes, program_bytes);
}

TEST(MemoryPlan, SixteenBytesAParameter) {
  RunConfig config = run_config(report_llama3(4));
  config.model.tie_word_embeddings = true;
  const auto state = [&] {
    const MemoryPlan plan = plan_of(config);
    return plan.weights_bytes + plan.gradients_bytes + plan.optimizer_bytes;
  };
  const int64_t elements = make_parameter_table(config.model).buffer_elements();
  EXPECT_LT(elements - parameter_count(config.model), 32 * 40);  // gaps: under a line a parameter
  config.dtype = DType::kBF16;
  EXPECT_EQ(state(), 16 * elements);  // 2 + 4 + 10
  config.dtype = DType::kF32;
  EXPECT_EQ(state(), 16 * elements);  // 4 + 4 + 8
}

TEST(MemoryPlan, AnUntiedEmbeddingHasGradientsForTheRowsOfAStepOnly) {
  RunConfig config = run_config(report_llama3(4));  // 128 tokens a step
  const int64_t elements = make_parameter_table(config.model).buffer_elements();
  const int64_t embedding = int64_t{256000} * 3072, rows = int64_t{128} * 3072;
  const int64_t bookkeeping = (256000 + 128 + 128 + 3072) * 4;
  EXPECT_EQ(plan_of(config).gradients_bytes, 4 * (elements - embedding + rows) + bookkeeping);
  config.batch.grad_accum_steps = 2000;  // every row is touched: the dense gradient is smaller
  EXPECT_EQ(plan_of(config).gradients_bytes, 4 * elements);
}

// Of what the ranks share each has its part, padded to blocks by unit, and room for the units that
// a pass holds.
TEST(MemoryPlan, ZeroShardsTheState) {
  RunConfig config = run_config(report_llama3(6));
  config.dtype = DType::kBF16;
  config.batch.grad_accum_steps = 2000;  // so many tokens that the embedding's gradient is dense
  config.parallel.world_size = 4;
  const ParameterTable table = make_parameter_table(config.model);
  const int64_t elements = table.buffer_elements();
  const int64_t padding = std::ssize(table.units()) * Partition::kBlockElements;
  const auto near = [&](int64_t bytes, int64_t expected, int64_t width, int64_t units = 1) {
    EXPECT_GE(bytes, expected);
    EXPECT_LE(bytes, expected + width * padding * units);
  };
  const int64_t layer = table.units()[1].elements, ends = table.units().back().elements;
  for (const int64_t stage : {0, 1, 2, 3}) {
    SCOPED_TRACE(stage);
    config.parallel.zero_stage = stage;
    const MemoryPlan plan = plan_of(config);
    near(plan.optimizer_bytes, 10 * elements / (stage >= 1 ? 4 : 1), 10);
    // One slot for the largest unit, the head or the embedding, and one for a layer beside it.
    near(plan.gradients_bytes, stage >= 2 ? 4 * (elements / 4 + ends + layer) : 4 * elements, 4, 5);
    near(plan.weights_bytes, stage >= 3 ? 2 * (elements / 4 + 2 * layer + ends) : 2 * elements, 2,
         6);
  }
}

// A second shard of the weights alone, and pieces of gradients of each rank.
TEST(MemoryPlan, RanksHaveSecondaryShardsAndPiecesOfSums) {
  RunConfig config = run_config(report_llama3(2));
  config.dtype = DType::kBF16;
  EXPECT_EQ(plan_of(config).sums_bytes, 0);
  config.parallel.world_size = 4;
  config.parallel.zero_stage = 3;
  const MemoryPlan without = plan_of(config);
  config.parallel.zero_hpz_partition_size = 2;
  const MemoryPlan with = plan_of(config);
  const ParameterTable table = make_parameter_table(config.model);
  const int64_t padding = std::ssize(table.units()) * Partition::kBlockElements;
  EXPECT_GE(with.weights_bytes - without.weights_bytes, table.buffer_elements());  // 2 bytes / 2
  EXPECT_LE(with.weights_bytes - without.weights_bytes, table.buffer_elements() + 2 * padding);
  EXPECT_EQ(with.total_bytes() - without.total_bytes(), with.weights_bytes - without.weights_bytes);
  const int64_t bits = 4 * 256000 / 8;  // which rows of the embedding a rank has
  EXPECT_EQ(with.sums_bytes, 9 * (256 << 10) + bits);
  int64_t sum = 0;
  for (const MemoryClass& entry : with.classes(DType::kBF16)) sum += entry.bytes;
  EXPECT_EQ(sum, with.total_bytes());
}

// Of GPUs that exchange by themselves: a block of elements and one of packed rows on each, and with
// the host the bits of the rows. Of GPUs that do not: as of the host, and a place to stage units.
TEST(MemoryPlan, GpusOfAGroupHaveWhatTheyExchangeThrough) {
  RunConfig config = run_config(report_llama3(2));
  config.dtype = DType::kBF16;
  config.parallel.world_size = 4;
  GpuProfile gpu{.name = "a GPU", .multiprocessors = 100, .memory_bytes = int64_t{80} << 30};
  const auto plan_on = [&](bool has_group) {
    gpu.has_group = has_group;
    return plan_memory(make_run_layout(config, 1, &gpu), {}, 0, 0);
  };
  const MemoryPlan alone = plan_on(false), group = plan_on(true);
  constexpr int64_t kBlock = int64_t{64} << 20;
  const int64_t bits = 4 * 256000 / 8;
  EXPECT_EQ(alone.group_bytes, 0);
  EXPECT_GT(alone.sums_bytes, kBlock);
  EXPECT_EQ(group.sums_bytes, bits);
  const RowGradientsShape rows = *make_run_layout(config, 1, &gpu).embedding_rows;
  const int64_t packed = std::min(kBlock, 4 * rows.most_rows * rows.row_size);
  EXPECT_NEAR(static_cast<double>(group.group_bytes), static_cast<double>(kBlock + packed), 1e5);
  EXPECT_EQ(group.total_bytes() - alone.total_bytes(), group.group_bytes + kGpuGroupBytes);
  config.parallel.grad_reduce_in_bf16 = true;
  EXPECT_EQ(plan_on(true).group_bytes, group.group_bytes) << "half of it sent, half received";
  int64_t sum = 0;
  for (const MemoryClass& entry : group.classes(DType::kBF16)) sum += entry.bytes;
  EXPECT_EQ(sum, group.total_bytes());
  config.parallel.world_size = 1;
  EXPECT_EQ(plan_on(true).group_bytes, 0);
}

TEST(MemoryPlan, RecomputeKeepsOneInputAStretchAndOneStretchOfActivations) {
  RunConfig config = run_config(small_llama(6));
  const int64_t all = plan_of(config).activations_bytes;
  config.recompute = {true, 1};
  const int64_t one = plan_of(config).activations_bytes;
  config.recompute = {true, 2};
  const int64_t two = plan_of(config).activations_bytes;
  config.recompute = {true, 6};
  const int64_t six = plan_of(config).activations_bytes;
  EXPECT_LT(one, two);
  EXPECT_LT(two, all);
  EXPECT_GT(six, all);  // one segment of everything saves nothing and keeps its input besides
}

TEST(MemoryPlan, ClassesAddUpToTheTotal) {
  const MemoryPlan plan = plan_of(run_config(small_llama()), 1000, 2000);
  int64_t sum = 0;
  for (const MemoryClass& entry : plan.classes(DType::kBF16)) sum += entry.bytes;
  EXPECT_EQ(sum, plan.total_bytes());
}

}  // namespace
}  // namespace borealis
