#include "data/data_order.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/file.h"
#include "data/batch_loader.h"
#include "data/indexed_dataset_writer.h"
#include "data/sample_order.h"
#include "support/temporary_folder.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

class DataOrderTest : public ::testing::Test {
 protected:
  DataOrderTest() {
    write("a", 40);
    write("b", 25);
    write("c", 9);
    write_file_atomically(folder_.path() / "list.txt", "0.5 a web\n0.3 b books\n0.2 c web\n");
    config_.model.vocab_size = 1000;
    config_.batch = {
        .seq_length = 8, .micro_batch_size = 1, .grad_accum_steps = 1, .global_batch_size = 1};
    config_.data.data_file_list = (folder_.path() / "list.txt").string();
    config_.data.split = "80,20,0";
    config_.limits.train_iters = 30;
    config_.limits.eval_interval = 10;
    config_.limits.eval_iters = 2;
  }
  void write(const std::string& name, int64_t documents) {
    IndexedDatasetWriter writer(folder_.path() / name, TokenType::kU16);
    for (int64_t i = 0; i < documents; ++i) {
      writer.add_document(std::vector<int32_t>(static_cast<size_t>(10 + i % 5), 7));
    }
    writer.commit();
  }

  TemporaryFolder folder_;
  RunConfig config_;
};

// Over the segments each file gives the samples of its stream one behind the other, whatever order
// the blend takes them in.
TEST_F(DataOrderTest, SegmentsTakeEverySampleOfAFilesStreamOnce) {
  const auto files = open_data_files(config_);
  const std::vector<DataSegment> segments = {{30, 30}, {7, 37}, {200, 237}, {1, 238}};
  const auto plans = plan_segments(config_, *files, Split::kTrain, segments);
  ASSERT_EQ(plans.size(), 4u);
  EXPECT_GT(plans[2].files[2].generations.size(), 1u);  // more than the first index has
  std::map<int64_t, std::set<int64_t>> seen;
  std::map<int64_t, int64_t> taken;
  for (const SplitPlan& plan : plans) {
    SampleOrder order(config_, *files, plan, 0);
    EXPECT_GE(order.sample_count(), plan.requested);
    for (int64_t i = 0; i < order.sample_count(); ++i) {
      const SampleOrder::Sample sample = order.next();
      const FilePlan& file = plan.files[static_cast<size_t>(sample.file)];
      EXPECT_TRUE(seen[sample.file].insert(file.first + sample.number).second);
      int64_t tokens = 0;
      order.for_each_piece(sample, [&](int64_t, int64_t, int64_t count) { tokens += count; });
      EXPECT_EQ(tokens, 9);
    }
    for (size_t file = 0; file < files->size(); ++file) {
      taken[static_cast<int64_t>(file)] += plan.files[file].samples;
    }
  }
  for (const auto& [file, places] : seen) {
    EXPECT_EQ(std::ssize(places), taken[file]);
    EXPECT_EQ(*places.rbegin(), taken[file] - 1);  // none is left out
  }
}

TEST_F(DataOrderTest, TheFirstSegmentIsTheOrderOfARunThatBegins) {
  const auto files = open_data_files(config_);
  const std::vector<DataSegment> segments = {{30, 30}, {50, 80}};
  SampleOrder chained(config_, *files, plan_segments(config_, *files, Split::kTrain, segments)[0],
                      0);
  SampleOrder alone(config_, *files, plan_split(config_, *files, Split::kTrain, 30), 0);
  for (int64_t i = 0; i < alone.sample_count(); ++i) {
    const auto a = chained.next(), b = alone.next();
    EXPECT_EQ(a.file, b.file);
    EXPECT_EQ(a.number, b.number);
  }
}

TEST_F(DataOrderTest, ALongerRunAddsWhatIsMissing) {
  const DataOrder begun = new_data_order(config_);
  EXPECT_EQ(begun.train.segments, (std::vector<DataSegment>{{30, 30}}));
  EXPECT_EQ(begun.valid.segments, (std::vector<DataSegment>{{8, 30}}));
  EXPECT_EQ(extended_data_order(config_, begun, 12, {12, 2}), begun);
  config_.limits.train_iters = 50;
  const DataOrder longer = extended_data_order(config_, begun, 12, {12, 2});
  ASSERT_EQ(longer.train.segments.size(), 2u);
  // The first segment gives half a percent more than it was asked for, each file rounded up.
  const auto files = open_data_files(config_);
  const int64_t given =
      plan_segments(config_, *files, Split::kTrain, begun.train.segments)[0].sample_count();
  EXPECT_EQ(longer.train.segments[1].samples, 50 - given);
  EXPECT_EQ(longer.valid.segments.size(), 2u);
  // The stream crosses from one segment into the next.
  auto source = make_batch_source(config_, longer, Split::kTrain, 0);
  Batch batch;
  for (int i = 0; i < 50; ++i) source->next(batch);
}

// 12 steps of one sample, then 18 of two.
TEST_F(DataOrderTest, AnotherGlobalBatchAsksForWhatItsStepsNeed) {
  const DataOrder begun = new_data_order(config_);
  config_.batch.global_batch_size = config_.batch.grad_accum_steps = 2;
  const DataOrder larger = extended_data_order(config_, begun, 12, {12, 2});
  ASSERT_EQ(larger.train.segments.size(), 2u);
  const auto files = open_data_files(config_);
  const int64_t given =
      plan_segments(config_, *files, Split::kTrain, begun.train.segments)[0].sample_count();
  EXPECT_EQ(larger.train.segments[1].samples, 12 + 18 * 2 - given);
  EXPECT_EQ(new_data_order(config_, 12, {12, 2}).train.segments[0].samples, 18 * 2);
  EXPECT_EQ(samples_at_the_end(config_, Split::kTrain, 12, {12, 2}), 12 + 18 * 2);
  EXPECT_EQ(samples_at_the_end(config_, Split::kTrain, 0, {}), 60);
  EXPECT_EQ(samples_at_the_end(config_, Split::kTest, 12, {12, 2}),
            samples_at_the_end(config_, Split::kTest, 0, {}));
  EXPECT_EQ(samples_at_the_end(config_, Split::kTrain, 40, {80, 2}), 80);  // behind its end
  // Half of the steps left, twice the samples each: nothing is missing.
  config_.limits.train_iters = 21;
  EXPECT_EQ(extended_data_order(config_, begun, 12, {12, 2}).train, begun.train);
}

// Behind them it takes as many as it needs, none of them exact.
TEST_F(DataOrderTest, ExactEpochsAreThoseThatARunBeginsWith) {
  write_file_atomically(folder_.path() / "list.txt", "1 a web\n");
  config_.data.exact_epochs = 2;
  config_.limits.train_iters = 60;  // of 47 samples in the first epoch and 95 in both
  const DataOrder begun = new_data_order(config_);
  config_.limits.train_iters = 80;
  const DataOrder longer = extended_data_order(config_, begun, 60, {60, 2});
  const auto files = open_data_files(config_);
  const auto plans = plan_segments(config_, *files, Split::kTrain, longer.train.segments);
  ASSERT_EQ(plans.size(), 2u);
  ASSERT_EQ(plans[1].files[0].generations.size(), 1u);
  EXPECT_EQ(plans[1].files[0].generations[0].count, 95);  // the rest of the first index
  EXPECT_EQ(plans[1].files[0].generations[0].epochs, 2);
  config_.limits.train_iters = 130;
  const DataOrder longest = extended_data_order(config_, longer, 80, {80, 2});
  const auto more = plan_segments(config_, *files, Split::kTrain, longest.train.segments);
  ASSERT_EQ(more.back().files[0].generations.size(), 2u);
  EXPECT_EQ(more.back().files[0].generations[1].epochs, 0);
  auto source = make_batch_source(config_, longest, Split::kTrain, 0);
  Batch batch;
  for (int i = 0; i < 130; ++i) source->next(batch);
}

TEST_F(DataOrderTest, OtherDataBeginAtWhatWasConsumed) {
  const DataIdentity before = data_identity(config_);
  config_.data.split = "50,50,0";
  EXPECT_NE(data_identity(config_), before);
  const DataOrder order = new_data_order(config_, 12, {12, 2});
  EXPECT_EQ(order.train.begin, 12);
  EXPECT_EQ(order.train.segments[0].samples, 18);
  EXPECT_EQ(order.valid.begin, 2);
  auto source = make_batch_source(config_, order, Split::kTrain, 12);
  Batch batch;
  for (int i = 12; i < 30; ++i) source->next(batch);
}

// The name of a file is no part of the identity: data may have moved.
TEST_F(DataOrderTest, IdentityIsWhatDecidesTheOrder) {
  const DataIdentity before = data_identity(config_);
  for (const char* suffix : {".bin", ".idx"}) {
    fs::rename(folder_.path() / ("a" + std::string(suffix)),
               folder_.path() / ("moved" + std::string(suffix)));
  }
  write_file_atomically(folder_.path() / "list.txt", "0.5 moved web\n0.3 b books\n0.2 c web\n");
  EXPECT_EQ(data_identity(config_), before);
  write_file_atomically(folder_.path() / "list.txt", "0.4 moved web\n0.3 b books\n0.2 c web\n");
  EXPECT_NE(data_identity(config_), before);
}

}  // namespace
}  // namespace borealis
