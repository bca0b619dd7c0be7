// A state that was saved by an earlier version loads for as long as its version is read
// (make_golden_state.py made it).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "config/run_config_loader.h"
#include "support/paths.h"
#include "support/temporary_folder.h"
#include "train/run_start.h"
#include "train/state_transfer.h"
#include "train/trainer.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(BOREALIS_GOLDEN_DIR) / "state";

RunConfig golden_config(const fs::path& folder) {
  const auto nothing_set = [](const std::string&) { return std::nullopt; };
  return load_run_config(nothing_set, {"--mock-data",
                                       "--vocab-size",
                                       "128",
                                       "--num-layers",
                                       "2",
                                       "--hidden-size",
                                       "8",
                                       "--num-attention-heads",
                                       "2",
                                       "--num-key-value-heads",
                                       "1",
                                       "--ffn-hidden-size",
                                       "12",
                                       "--seq-length",
                                       "8",
                                       "--micro-batch-size",
                                       "1",
                                       "--grad-acc-steps",
                                       "2",
                                       "--train-iters",
                                       "6",
                                       "--eval-interval",
                                       "2",
                                       "--eval-iters",
                                       "1",
                                       "--lr",
                                       "0.01",
                                       "--lr-warmup-fraction",
                                       "0.1",
                                       "--split",
                                       "90,10,0",
                                       "--load",
                                       kGolden.string(),
                                       "--save",
                                       (folder / "s").string(),
                                       "--run-dir",
                                       (folder / "run").string()});
}

TEST(GoldenState, LoadsWithTheNumbersThatAnotherReaderSees) {
  const TemporaryFolder folder;
  RunConfig config = golden_config(folder.path());
  const RunStart start = StartChooser(config).next(config);
  ASSERT_TRUE(start.resumes);
  EXPECT_EQ(start.state.iteration, 3);
  EXPECT_EQ(start.state.consumed.train, 6);
  EXPECT_EQ(start.state.consumed.valid, 2);
  EXPECT_EQ(start.state.optimizer_steps, 3);
  const RunLayout layout = make_run_layout(config, 2);
  TrainingArenas arenas = allocate_training_arenas(layout);
  TrainingBuffers buffers(layout, arenas);
  DirectBlocks blocks;
  load_checkpoint(*start.checkpoint, state_targets(layout, buffers, 0, /*moments=*/true), blocks);

  const auto golden = nlohmann::json::parse(read_text_file(kGolden / "golden.json"));
  int64_t checked = 0;
  const StateBuffers view{buffers.parameters.weights, buffers.optimizer};
  for (const TensorSource& source : state_sources(layout, view, 0)) {
    const auto name = parse_piece_name(source.name);
    ASSERT_TRUE(name);
    double sum = 0, squares = 0;
    int64_t elements = 0;
    source.produce([&](std::span<const std::byte> bytes) {
      const std::span values(reinterpret_cast<const float*>(bytes.data()),
                             bytes.size() / sizeof(float));
      for (const float value : values) {
        sum += value;
        squares += static_cast<double>(value) * value;
        ++elements;
      }
    });
    const auto& expected = golden.at(name->kind).at(name->tensor);
    EXPECT_EQ(elements, expected.at("elements").get<int64_t>());
    // Sums of a few hundred f32 in f64, in another order.
    EXPECT_NEAR(sum, expected.at("sum").get<double>(), 1e-12) << source.name;
    EXPECT_NEAR(squares, expected.at("sum_of_squares").get<double>(), 1e-12) << source.name;
    ++checked;
  }
  EXPECT_EQ(checked, 3 * std::ssize(layout.table.entries()));
}

TEST(GoldenState, IsGoneOnFrom) {
  const TemporaryFolder folder;
  RunConfig config = golden_config(folder.path());
  fs::create_directories(config.output.run_dir);
  const RunStart start = StartChooser(config).next(config);
  const RunLayout layout = make_run_layout(config, 2);
  Trainer trainer(config, layout, start, {.measure_gemm = [](auto) { return 1e11; }});
  std::vector<StepRecord> steps;
  TrainerEvents events;
  events.on_step = [&](const StepRecord& record) { steps.push_back(record); };
  EXPECT_THAT(trainer.run(events).checkpoint, ::testing::HasSubstr("s/global_step6"));
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_EQ(steps.front().iteration, 4);
  EXPECT_EQ(steps.back().consumed_samples, 12);
}

}  // namespace
}  // namespace borealis
