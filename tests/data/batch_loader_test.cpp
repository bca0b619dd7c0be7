#include "data/batch_loader.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <map>
#include <random>
#include <thread>

#include "data/blending.h"
#include "data/data_test_support.h"
#include "data/numpy_random.h"
#include "data/prefetching_source.h"
#include "data/sample_stream.h"
#include "data/split_plan.h"

namespace borealis {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Rows = std::vector<std::vector<int32_t>>;  // seq_length + 1 tokens each

Rows take(BatchSource& source, int64_t batches) {
  Rows rows;
  Batch batch;
  for (int64_t i = 0; i < batches; ++i) {
    source.next(batch);
    const int64_t length = batch.seq_length;
    for (int64_t b = 0; b < batch.batch_size; ++b) {
      const auto tokens = batch.tokens.begin() + b * length;
      const auto targets = batch.targets.begin() + b * length;
      EXPECT_TRUE(std::equal(tokens + 1, tokens + length, targets));
      rows.emplace_back(tokens, tokens + length);
      rows.back().push_back(targets[length - 1]);
    }
  }
  return rows;
}

class BatchLoaderTest : public ::testing::Test {
 protected:
  void write_list(const std::string& text) { write_file_atomically(list_, text); }
  TemporaryFolder folder_;
  std::filesystem::path list_ = folder_ / "list.txt";
};

// The whole order again, slowly and with every array in memory.
struct SlowFile {
  double weight;
  std::string corpus;
  std::vector<int> lengths;
  int32_t first_token;
};

Rows slow_samples_of_file(const SlowFile& file, const SplitShares& shares, size_t part,
                          int64_t seq_length, int64_t requested, uint32_t seed) {
  const auto bounds = split_bounds(shares, static_cast<int64_t>(file.lengths.size()));
  int64_t tokens = 0;
  std::vector<int64_t> ids;
  for (int64_t i = bounds[part]; i < bounds[part + 1]; ++i) {
    ids.push_back(i);
    tokens += file.lengths[i];
  }
  int64_t epochs = 1;
  while ((epochs * tokens - 1) / seq_length < requested) ++epochs;
  const int64_t samples = (epochs * tokens - 1) / seq_length;
  bool separate = false;
  int64_t before = samples;
  if (epochs > 1) {
    before = ((epochs - 1) * tokens - 1) / seq_length;
    separate = requested - before < static_cast<int64_t>(0.8 * ((tokens - 1) / seq_length));
  }
  NumpyRandom random(seed);
  const auto shuffled_epochs = [&](int64_t count) {
    std::vector<int64_t> order;
    for (int64_t e = 0; e < count; ++e) order.insert(order.end(), ids.begin(), ids.end());
    random.shuffle(std::span<int64_t>(order));
    return order;
  };
  std::vector<int64_t> documents = shuffled_epochs(separate ? epochs - 1 : epochs);
  if (separate) {
    const auto last = shuffled_epochs(1);
    documents.insert(documents.end(), last.begin(), last.end());
  }
  std::vector<int32_t> stream;
  for (const int64_t document : documents) {
    int32_t token = file.first_token;
    for (int64_t i = 0; i < document; ++i) token += file.lengths[i];
    for (int i = 0; i < file.lengths[document]; ++i) stream.push_back(token + i);
  }
  const int64_t cut = separate ? before : samples;
  std::vector<int64_t> order(samples);
  std::iota(order.begin(), order.end(), 0);
  random.shuffle(std::span(order).first(cut));
  random.shuffle(std::span(order).subspan(cut));
  Rows rows;
  for (const int64_t j : order) {
    rows.emplace_back(stream.begin() + j * seq_length, stream.begin() + (j + 1) * seq_length + 1);
  }
  return rows;
}

std::vector<int64_t> slow_greedy(const std::vector<double>& weights, int64_t count) {
  std::vector<int64_t> taken(weights.size(), 0);
  std::vector<int64_t> picks;
  for (int64_t t = 0; t < count; ++t) {
    std::vector<double> lag;
    for (size_t i = 0; i < weights.size(); ++i) {
      const double want = weights[i] * static_cast<double>(t == 0 ? 1 : t);
      lag.push_back(want - static_cast<double>(taken[i]));
    }
    picks.push_back(std::max_element(lag.begin(), lag.end()) - lag.begin());
    ++taken[picks.back()];
  }
  return picks;
}

Rows slow_samples(const RunConfig& config, const std::vector<SlowFile>& files, Split split) {
  const SplitShares shares = parse_split(config.data.split);
  double weight_sum = 0;
  for (const SlowFile& file : files) weight_sum += file.weight;
  const auto counts_for = [&](int64_t total) {
    std::vector<int64_t> counts;
    for (const SlowFile& file : files) {
      counts.push_back(static_cast<int64_t>(std::ceil(total * (file.weight / weight_sum) * 1.005)));
    }
    return counts;
  };
  const auto counts = counts_for(requested_samples(config, split));
  const auto train = counts_for(config.limits.train_iters * config.batch.global_batch_size);
  const double train_total = std::accumulate(train.begin(), train.end(), int64_t{0});
  const auto seed = static_cast<uint32_t>(config.seed);

  std::map<std::string, Rows> corpora;
  for (const SlowFile& file : files) corpora[file.corpus];
  for (auto& [label, rows] : corpora) {
    std::vector<Rows> members;
    std::vector<double> member_counts;
    int64_t total = 0;
    for (size_t i = 0; i < files.size(); ++i) {
      if (files[i].corpus != label) continue;
      members.push_back(slow_samples_of_file(files[i], shares, static_cast<size_t>(split),
                                             config.batch.seq_length, counts[i], seed));
      members.back().resize(counts[i]);
      member_counts.push_back(counts[i]);
      total += counts[i];
    }
    if (config.data.blend_sample_in_corpus) {
      for (double& count : member_counts) count /= total;
      std::vector<int64_t> used(members.size(), 0);
      for (const int64_t m : slow_greedy(member_counts, total)) {
        rows.push_back(members[m][used[m]++]);
      }
    } else {
      for (const Rows& member : members) rows.insert(rows.end(), member.begin(), member.end());
    }
    if (config.data.shuffle_sample_in_corpus) {
      std::vector<int64_t> order(rows.size());
      std::iota(order.begin(), order.end(), 0);
      NumpyRandom(seed).shuffle(std::span(order));
      Rows shuffled;
      for (const int64_t k : order) shuffled.push_back(rows[k]);
      rows = shuffled;
    }
  }
  std::vector<double> weights;
  std::vector<const Rows*> sources;
  int64_t total = 0;
  for (const auto& [label, rows] : corpora) {
    weights.push_back(static_cast<double>(rows.size()) / train_total);
    sources.push_back(&rows);
    total += static_cast<int64_t>(rows.size());
  }
  const double sum = numpy_sum(weights);
  for (double& weight : weights) weight /= sum;
  Rows out;
  std::vector<int64_t> used(sources.size(), 0);
  for (const int64_t source : slow_greedy(weights, total)) {
    out.push_back((*sources[source])[used[source]++]);
  }
  return out;
}

TEST_F(BatchLoaderTest, FollowsTheSlowRestatement) {
  std::mt19937 random(3);
  for (int round = 0; round < 12; ++round) {
    std::vector<SlowFile> files(1 + random() % 5);
    std::string list;
    for (size_t i = 0; i < files.size(); ++i) {
      files[i] = {.weight = 0.25 + random() % 7,
                  .corpus = std::string(1, static_cast<char>('c' - random() % 3)),
                  .lengths = std::vector<int>(20 + random() % 30),
                  .first_token = static_cast<int32_t>(i * 4000)};
      for (int& length : files[i].lengths) length = 1 + random() % 40;
      const std::string name = "file" + std::to_string(i);
      write_dataset(folder_ / name, files[i].lengths, files[i].first_token,
                    i % 2 == 0 ? TokenType::kU16 : TokenType::kI32);
      list += std::to_string(files[i].weight) + " " + name + " " + files[i].corpus + "\n";
    }
    write_list(list);
    RunConfig config = small_run(list_);
    config.data.split = "8,2,1";
    config.batch.seq_length = 3 + random() % 20;
    config.limits.train_iters = 1 + random() % 150;
    config.seed = random() % 5000;
    config.data.blend_sample_in_corpus = round % 2 == 1;
    config.data.shuffle_sample_in_corpus = round % 4 < 2;
    for (const Split split : {Split::kTrain, Split::kValid, Split::kTest}) {
      const Rows expected = slow_samples(config, files, split);
      auto source = make_batch_source(config, split, 0);
      EXPECT_EQ(take(*source, static_cast<int64_t>(expected.size())), expected);
      Batch batch;
      EXPECT_ERROR_THAT(source->next(batch), ErrorKind::kData, HasSubstr("are used up"));
    }
  }
}

TEST_F(BatchLoaderTest, RanksShareTheSamplesInRunsOfAMicroBatch) {
  write_dataset(folder_ / "x", {40, 50, 60, 70});
  write_list("1 x books");
  RunConfig config = small_run(list_);
  config.limits.train_iters = 40;
  const Rows all = take(*make_batch_source(config, Split::kTrain, 0), 24);
  config.batch.micro_batch_size = 3;
  config.parallel.world_size = 2;
  const Rows first = take(*make_batch_source(config, Split::kTrain, 0, 0), 4);
  const Rows second = take(*make_batch_source(config, Split::kTrain, 0, 1), 4);
  for (size_t i = 0; i < 24; ++i) {
    const Rows& rank = i / 3 % 2 == 0 ? first : second;
    EXPECT_EQ(rank[i / 6 * 3 + i % 3], all[i]);
  }
}

// 8 samples in all: two micro-steps of 2 x 3 do not fit, though the first rank's part of the second
// would.
TEST_F(BatchLoaderTest, DropsAnIncompleteTailOnAllRanks) {
  write_dataset(folder_ / "x", {40, 50, 60, 70});
  write_list("1 x books");
  RunConfig config = small_run(list_);
  config.limits.train_iters = 7;
  config.batch.micro_batch_size = 2;
  config.parallel.world_size = 3;
  for (int64_t rank = 0; rank < 3; ++rank) {
    auto source = make_batch_source(config, Split::kTrain, 0, rank);
    EXPECT_EQ(take(*source, 1).size(), 2u);
    Batch batch;
    EXPECT_ERROR_THAT(source->next(batch), ErrorKind::kData, HasSubstr("are used up"));
  }
}

// A file of weight 0 gives nothing, unless the files of its corpus are blended: then the rule can
// draw from it, as in the reference. A corpus of such files is passed over.
TEST_F(BatchLoaderTest, OpensFilesWithoutWeightOnlyWhereTheyCanBeDrawn) {
  write_dataset(folder_ / "x", {40, 50, 60, 70});
  write_list("1 x books\n0 missing books\n0 none other");
  RunConfig config = small_run(list_);
  EXPECT_EQ(open_data_files(config)->size(), 1u);
  EXPECT_THAT(open_data_files(config)->corpora_without_samples, ElementsAre("other"));
  EXPECT_EQ(take(*make_batch_source(config, Split::kTrain, 0), 4).size(), 4u);
  config.data.blend_sample_in_corpus = true;
  EXPECT_ERROR_THAT(open_data_files(config), ErrorKind::kFile,
                    HasSubstr("missing.idx does not exist"));
}

TEST_F(BatchLoaderTest, OpensItsFilesOnce) {
  const auto start = std::chrono::steady_clock::now();
  write_dataset(folder_ / "x", {40, 50, 60, 70});
  write_list("1 x books");
  RunConfig config = small_run(list_);
  const auto young = open_data_files(config);
  const auto again = open_data_files(config);
  if (std::chrono::steady_clock::now() - start < std::chrono::seconds(1)) {
    EXPECT_NE(again, young) << "a file that was just written may be written again";
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(2100));
  const auto files = open_data_files(config);
  EXPECT_EQ(open_data_files(config), files);
  config.batch.seq_length = 4;
  EXPECT_EQ(open_data_files(config), files);
  write_list("2 x books");
  const auto weighted = open_data_files(config);
  ASSERT_NE(weighted, files);
  EXPECT_EQ((*weighted)[0].weight, 2);
  write_dataset(folder_ / "x", {40, 50, 60, 80});
  const auto longer = open_data_files(config);
  EXPECT_EQ((*longer)[0].data.token_count(), 230);
  std::filesystem::remove(folder_ / "x.bin");
  EXPECT_ERROR_THAT(open_data_files(config), ErrorKind::kFile, HasSubstr("x.bin does not exist"));
}

// What is wrong with the next batch is nothing to the one that is read. When it is its turn the
// index is looked at again, found damaged, and made again.
TEST_F(BatchLoaderTest, AFaultInTheIndexCostsNoBatch) {
  write_dataset(folder_ / "x", {40, 50, 60, 70});
  write_list("1 x books");
  RunConfig config = small_run(list_);
  config.limits.train_iters = 20;
  const Rows all = take(*make_batch_source(config, Split::kTrain, 0), 20);
  config.data.cache_path = (folder_ / "cache").string();
  const auto files = open_data_files(config);
  SampleStream stream(config, files, {plan_split(config, *files, Split::kTrain, 20)}, 0, 0);
  stream.build_index();
  for (const auto& entry : std::filesystem::directory_iterator(config.data.cache_path)) {
    if (!entry.path().string().ends_with("_shuffle_idx.npy")) continue;
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-static_cast<int64_t>(sizeof(uint32_t)) * 19, std::ios::end);
    const uint32_t beyond = 0xffff;
    file.write(reinterpret_cast<const char*>(&beyond), sizeof beyond);
  }
  Batch batch;
  for (size_t i = 0; i < 20; ++i) {
    ASSERT_NO_THROW(stream.next(batch)) << i;
    EXPECT_TRUE(std::equal(batch.tokens.begin(), batch.tokens.end(), all[i].begin())) << i;
  }
}

TEST_F(BatchLoaderTest, ReadsTheSameFromFilesAsFromMemory) {
  write_dataset(folder_ / "x", {40, 50, 60, 70});
  write_dataset(folder_ / "y", {30, 20, 10, 90}, 1000);
  write_list("1 x books\n2 y books\n1 x code");
  RunConfig config = small_run(list_);
  config.limits.train_iters = 60;
  const Rows in_memory = take(*make_batch_source(config, Split::kTrain, 0), 60);
  config.data.cache_path = (folder_ / "cache").string();
  EXPECT_EQ(take(*make_batch_source(config, Split::kTrain, 0), 60), in_memory);
  EXPECT_EQ(take(*make_batch_source(config, Split::kTrain, 0), 60), in_memory);
  const DataDescription data = describe_data(config);
  EXPECT_LT(data.train.index_memory_bytes, data.train.index_bytes);
}

TEST_F(BatchLoaderTest, ResumesWhereARunStopped) {
  write_dataset(folder_ / "x", {40, 50, 60, 70});
  write_dataset(folder_ / "y", {30, 20, 10, 90}, 1000);
  write_list("1 x books\n2 y code");
  RunConfig config = small_run(list_);
  config.limits.train_iters = 40;
  const Rows all = take(*make_batch_source(config, Split::kTrain, 0), 40);
  const Rows rest = take(*make_batch_source(config, Split::kTrain, 17), 23);
  EXPECT_TRUE(std::equal(rest.begin(), rest.end(), all.begin() + 17));
}

TEST_F(BatchLoaderTest, AsksForTheSamplesOfTheContract) {
  RunConfig config = small_run(list_);
  config.data.split = "990,10,1";
  config.batch.global_batch_size = 6;
  config.limits.train_iters = 250;
  config.limits.eval_interval = 100;
  config.limits.eval_iters = 20;
  EXPECT_EQ(requested_samples(config, Split::kTrain), 1500);
  EXPECT_EQ(requested_samples(config, Split::kValid), 3 * 20 * 6);
  EXPECT_EQ(requested_samples(config, Split::kTest), 20 * 6);
  config.limits.eval_interval = 0;  // never
  EXPECT_EQ(requested_samples(config, Split::kValid), 0);
  EXPECT_EQ(requested_samples(config, Split::kTest), 20 * 6);
  config.limits.eval_iters = 0;  // which is asked for no batch then
  config.data.split = "990,10,0";
  EXPECT_EQ(make_batch_source(config, Split::kValid, 0), nullptr);
  config.data.split = "990,0,0";
  EXPECT_EQ(requested_samples(config, Split::kValid), 0);
}

// Of a large corpus they would be most of the process' memory.
TEST_F(BatchLoaderTest, PagesThatWereReadAreGivenBack) {
  constexpr int kDocuments = 2000, kTokens = 10000;  // 40 MB
  {
    IndexedDatasetWriter writer(folder_ / "x", TokenType::kU16);
    const std::vector<int32_t> tokens(kTokens, 7);
    for (int i = 0; i < kDocuments; ++i) writer.add_document(tokens);
    writer.commit();
  }
  write_list("1 x web");
  RunConfig config = small_run(list_);
  config.data.split = "1,0,0";
  config.batch = {
      .seq_length = 4096, .micro_batch_size = 1, .grad_accum_steps = 1, .global_batch_size = 1};
  config.limits.train_iters = kDocuments * kTokens / 4096 - 100;
  const auto file_kib = [] {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("RssFile:")) return std::stoll(line.substr(8));
    }
    return -1LL;
  };
  const auto source = make_batch_source(config, Split::kTrain, 0);
  Batch batch;
  source->next(batch);
  const auto before = file_kib();
  ASSERT_GT(before, 0);
  for (int64_t i = 1; i < config.limits.train_iters; ++i) source->next(batch);
  EXPECT_LT(file_kib() - before, 8 << 10);  // of 40 MB
}

TEST_F(BatchLoaderTest, DescribesTheData) {
  write_dataset(folder_ / "x", std::vector<int>(100, 10));
  write_dataset(folder_ / "y", std::vector<int>(50, 20), 0, TokenType::kI32);
  write_list("1 x web\n3 y books\n0 z unused");
  RunConfig config = small_run(list_);
  config.data.split = "90,10,0";
  config.limits.train_iters = 500;
  const DataDescription data = describe_data(config);
  EXPECT_THAT(data.corpora, ElementsAre("books", "web"));
  EXPECT_EQ(data.files, 2);
  EXPECT_EQ(data.documents, 150);
  EXPECT_EQ(data.tokens, 2000);
  EXPECT_EQ(data.train.documents, 90 + 45);
  EXPECT_EQ(data.train.tokens, 1800);
  EXPECT_EQ(data.train.requested_samples, 500);
  EXPECT_EQ(data.train.epochs, (377 * 8 + 1 + 899) / 900);  // of y, asked for 376.875 samples
  EXPECT_EQ(data.train.index_blocks, 1);
  EXPECT_EQ(data.valid.documents, 15);
  EXPECT_EQ(data.test.requested_samples, 0);
  EXPECT_EQ(data.train.mapped_bytes, 34 + 20 * 100 + 8 + 900 * 2 + 34 + 20 * 50 + 8 + 900 * 4);
  EXPECT_THAT(data_description_text(data),
              AllOf(HasSubstr("list.txt: 2 files of 2 corpora (books, web), 150 documents, 2 000 "
                              "tokens; training: 135 documents"),
                    HasSubstr("500 samples in 4 epochs"), HasSubstr("validation: 15 documents")));
}

TEST_F(BatchLoaderTest, CountsTheBytesOfTheIndexExactly) {
  write_dataset(folder_ / "x", std::vector<int>(100, 10));
  write_dataset(folder_ / "y", std::vector<int>(50, 20), 2000);
  write_list("1 x web\n3 y books");
  RunConfig config = small_run(list_);
  config.limits.train_iters = 500;
  const auto files = open_data_files(config);
  const SplitPlan plan = plan_split(config, *files, Split::kTrain, 500);
  const SampleOrder order(config, *files, plan, 0);
  int64_t bytes = plan.samples_in_block() * 4;
  for (int64_t file = 0; file < 2; ++file) {
    const SampleIndexArrays& arrays = order.index(file).arrays();
    bytes += arrays.document_order.size() * 4 + arrays.starts.size() * 16 +
             arrays.sample_order.size() * 4;
  }
  const DataDescription data = describe_data(config);
  EXPECT_EQ(data.train.index_bytes, bytes);
  // Beside it the lengths of all documents, and tokens and targets of the batch in work and of the
  // one that a thread prepares.
  EXPECT_EQ(data_memory_bytes(config, data),
            bytes + 150 * 4 + 2 * (2 * 8 * 4) + PrefetchingSource::kThreadBytes);
}

TEST_F(BatchLoaderTest, CutsAnIndexThatIsTooLargeIntoBlocks) {
  write_dataset(folder_ / "x", {40, 50, 60, 70});
  write_dataset(folder_ / "y", {30, 20, 10, 90}, 1000);
  write_list("1 x books\n2 y code");
  RunConfig config = small_run(list_);
  config.limits.train_iters = 1000;
  const auto files = open_data_files(config);
  const SplitPlan plan =
      plan_split(config, *files, Split::kTrain, 1000, {.whole_bytes = 16000, .block_bytes = 9000});
  EXPECT_EQ(plan.blocks, 3);
  EXPECT_EQ(plan.block_samples, 334);
  EXPECT_LE(plan.index_bytes, 9000);
  EXPECT_GT(plan.whole_index_bytes, 16000);

  testing::internal::CaptureStdout();
  SampleStream stream(config, files, {plan}, 0, 0);
  EXPECT_THAT(testing::internal::GetCapturedStdout(),
              HasSubstr("built in 3 blocks of 334 samples"));
  EXPECT_EQ(stream.sample_count(), 1000);
  const Rows all = take(stream, 1000);
  for (int64_t block = 0; block < 3; ++block) {  // each is a run with its own seed
    RunConfig part = config;
    part.limits.train_iters = 334;
    part.seed = config.seed + static_cast<uint64_t>(block);
    const int64_t count = std::min<int64_t>(334, 1000 - block * 334);
    const Rows expected = take(*make_batch_source(part, Split::kTrain, 0), count);
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), all.begin() + block * 334));
  }
  Batch batch;
  EXPECT_ERROR_THAT(stream.next(batch), ErrorKind::kData, HasSubstr("1 000 samples"));
  SampleStream resumed(config, files, {plan}, 700, 0);
  EXPECT_EQ(take(resumed, 1)[0], all[700]);
}

TEST_F(BatchLoaderTest, KeepsTheLimitsForTrillionsOfTokens) {
  write_dataset(folder_ / "bible", std::vector<int>(1189, 900), 0, TokenType::kI32);
  write_list("1 bible books");
  RunConfig config = small_run(list_);
  config.model.vocab_size = 2000000;
  config.batch = {
      .seq_length = 8192, .micro_batch_size = 1, .grad_accum_steps = 2, .global_batch_size = 2};
  config.limits.train_iters = 4673780159710 / 8192 / 2;
  config.limits.eval_interval = 100;
  config.limits.eval_iters = 20;
  config.data.split = "990,10,0";
  const DataDescription data = describe_data(config);
  EXPECT_GT(data.train.index_blocks, 1000);
  EXPECT_LE(data.train.index_bytes, IndexLimits().block_bytes);
  EXPECT_GT(data.train.index_bytes, IndexLimits().block_bytes * 9 / 10);
  EXPECT_LE(data.valid.index_bytes, IndexLimits().block_bytes);
}

TEST_F(BatchLoaderTest, NeedsAtLeastOneEpochInABlock) {
  write_dataset(folder_ / "x", std::vector<int>(1000, 10));
  write_list("1 x books");
  RunConfig config = small_run(list_);
  const SplitPlan plan = plan_split(config, *open_data_files(config), Split::kTrain, 5000,
                                    {.whole_bytes = 100, .block_bytes = 100});
  // An epoch has 1249 samples; asking for 1242 with the half percent on top still stays in it.
  EXPECT_EQ(plan.epochs, plan.blocks);
  EXPECT_EQ(plan.blocks, 5);
  EXPECT_EQ(plan.block_samples, 1000);
}

class BatchLoaderErrorTest : public BatchLoaderTest {
 protected:
  BatchLoaderErrorTest() { write_list("1 x books"); }
  void expect_error(const RunConfig& config, Split split, ErrorKind kind,
                    const ::testing::Matcher<std::string>& matcher) {
    EXPECT_ERROR_THAT(make_batch_source(config, split, 0), kind, matcher);
    EXPECT_ERROR_THAT(describe_data(config), kind, matcher);
  }
};

TEST_F(BatchLoaderErrorTest, NoSourceForASplitWithoutAShare) {
  write_dataset(folder_ / "x", {40, 50});
  const RunConfig config = small_run(list_);
  EXPECT_EQ(make_batch_source(config, Split::kValid, 0), nullptr);
  EXPECT_EQ(make_batch_source(config, Split::kTest, 0), nullptr);
  RunConfig untrained = config;
  untrained.data.split = "0,1,0";
  expect_error(untrained, Split::kTrain, ErrorKind::kConfig, HasSubstr("TRAIN_SPLIT=0"));
}

TEST_F(BatchLoaderErrorTest, NamesAMissingDataSet) {
  expect_error(small_run(list_), Split::kTrain, ErrorKind::kFile,
               HasSubstr("x.idx does not exist"));
}

TEST_F(BatchLoaderErrorTest, NamesAnEmptyCorpus) {
  write_dataset(folder_ / "x", {});
  expect_error(small_run(list_), Split::kTrain, ErrorKind::kData,
               HasSubstr("x.idx holds no documents"));
}

TEST_F(BatchLoaderErrorTest, AnEmptyValidationOrTestSplitIsNotBuilt) {
  write_dataset(folder_ / "x", std::vector<int>(50, 10));
  RunConfig config = small_run(list_);
  config.data.split = "990,10,0";
  EXPECT_NE(make_batch_source(config, Split::kTrain, 0), nullptr);
  EXPECT_EQ(make_batch_source(config, Split::kValid, 0), nullptr);
  EXPECT_FALSE(split_is_built(config, Split::kValid));
  const DataDescription data = describe_data(config);
  EXPECT_TRUE(data.valid.left_empty);
  EXPECT_EQ(data.valid.requested_samples, 0);
  EXPECT_THAT(data_description_text(data), HasSubstr("validation: none, the split leaves it no"));
  config.data.split = "10,990,0";  // nothing to train on stays an error
  expect_error(
      config, Split::kTrain, ErrorKind::kData,
      AllOf(HasSubstr("leaves no document for training (50 in all)"), HasSubstr("--document-per")));
}

TEST_F(BatchLoaderErrorTest, AFileWithoutAPartInValidationIsLeftOutOfIt) {
  write_dataset(folder_ / "x", std::vector<int>(50, 10));
  write_dataset(folder_ / "y", std::vector<int>(200, 10), 1000);
  write_file_atomically(list_, "1 x a\n3 y b\n");
  RunConfig config = small_run(list_);
  config.data.split = "990,10,0";
  const auto source = make_batch_source(config, Split::kValid, 0);
  ASSERT_NE(source, nullptr);
  for (int step = 0; step < 6; ++step) {
    Batch batch;
    source->next(batch);
    for (const int32_t token : batch.tokens) EXPECT_GE(token, 1000 + 1980);
  }
}

TEST_F(BatchLoaderErrorTest, NamesASplitWithFewerThanTwoTokens) {
  write_dataset(folder_ / "x", {0, 1, 0});
  expect_error(small_run(list_), Split::kTrain, ErrorKind::kData,
               HasSubstr("the 3 documents for training hold 1 token;"));
  write_dataset(folder_ / "x", {0, 0});
  expect_error(small_run(list_), Split::kTrain, ErrorKind::kData, HasSubstr("hold 0 tokens;"));
}

TEST_F(BatchLoaderErrorTest, NamesContradictorySettings) {
  write_dataset(folder_ / "x", {40, 50, 60, 70});
  RunConfig config = small_run(list_);
  config.batch.seq_length = 1;
  expect_error(config, Split::kTrain, ErrorKind::kConfig, HasSubstr("SEQ=1"));
  config = small_run(list_);
  config.data.split = "3,1,0";
  config.limits.eval_iters = 0;
  expect_error(config, Split::kValid, ErrorKind::kConfig,
               HasSubstr("EVAL_ITERS=0 contradicts VAL_SPLIT=1"));
  config.limits.train_iters = 0;
  expect_error(config, Split::kTrain, ErrorKind::kConfig, HasSubstr("TRAIN_ITERS=0"));
}

TEST_F(BatchLoaderErrorTest, NamesAForeignTokenOnReading) {
  write_dataset(folder_ / "x", {40, 50, 60, 70});
  RunConfig config = small_run(list_);
  config.model.vocab_size = 219;
  config.limits.train_iters = 80;
  auto source = make_batch_source(config, Split::kTrain, 0);
  EXPECT_ERROR_THAT(take(*source, 80), ErrorKind::kData,
                    AllOf(HasSubstr("x.bin: document 3 has the token id 219 at position 69"),
                          HasSubstr("vocabulary ends at 218")));
}

TEST_F(BatchLoaderErrorTest, PassesOverWhatItRefuses) {
  write_dataset(folder_ / "x", {40, 50, 60, 70});
  RunConfig config = small_run(list_);
  config.limits.train_iters = 80;
  config.model.vocab_size = 220;
  auto sound = make_batch_source(config, Split::kTrain, 0);
  config.model.vocab_size = 219;
  auto source = make_batch_source(config, Split::kTrain, 0);
  int refused = 0;
  for (int i = 0; i < 80; ++i) {
    Batch expected, batch;
    sound->next(expected);
    if (i % 10 == 3) {
      source->skip();
      continue;
    }
    try {
      source->next(batch);
      EXPECT_EQ(batch.tokens, expected.tokens) << i;
    } catch (const Error&) {
      ++refused;
      source->skip();
    }
  }
  EXPECT_GT(refused, 0);
}

TEST_F(BatchLoaderErrorTest, RefusesToStartBehindTheEnd) {
  write_dataset(folder_ / "x", {40, 50, 60, 70});
  const RunConfig config = small_run(list_);
  EXPECT_ERROR_THAT(make_batch_source(config, Split::kTrain, 5), ErrorKind::kData,
                    HasSubstr("training sample 5, but its data ends after 5"));
}

RunConfig mock_run() {
  RunConfig config = small_run("");
  config.data.mock_data = true;
  config.model.vocab_size = 50;
  config.batch.micro_batch_size = 4;
  return config;
}

TEST(MockBatchSource, PassesOverABatch) {
  const auto all = make_batch_source(mock_run(), Split::kTrain, 0),
             some = make_batch_source(mock_run(), Split::kTrain, 0);
  Batch expected, batch;
  all->next(expected);
  all->next(expected);
  some->skip();
  some->next(batch);
  EXPECT_EQ(batch.tokens, expected.tokens);
}

TEST(MockBatchSource, DrawsUniformTokensFromTheSeed) {
  RunConfig config = mock_run();
  const Rows rows = take(*make_batch_source(config, Split::kTrain, 0), 500);
  EXPECT_EQ(rows, take(*make_batch_source(config, Split::kTrain, 0), 500));
  std::vector<int> counts(50, 0);
  for (const auto& row : rows) {
    for (const int32_t token : row) ++counts.at(static_cast<size_t>(token));
  }
  for (const int count : counts) EXPECT_NEAR(count, 18000 / 50, 100);  // 5 standard deviations
  ++config.seed;
  EXPECT_NE(rows, take(*make_batch_source(config, Split::kTrain, 0), 500));
}

TEST(MockBatchSource, NumbersSamplesAcrossRanksAndResumption) {
  RunConfig config = mock_run();
  config.data.split = "1,1,0";
  const Rows all = take(*make_batch_source(config, Split::kTrain, 0), 6);
  EXPECT_EQ(take(*make_batch_source(config, Split::kTrain, 8), 1)[0], all[8]);
  config.parallel.world_size = 2;
  const Rows second = take(*make_batch_source(config, Split::kTrain, 0, 1), 2);
  EXPECT_EQ(second[0], all[4]);
  EXPECT_EQ(second[4], all[12]);
  EXPECT_NE(take(*make_batch_source(config, Split::kValid, 0), 1)[0], all[0]);
  const DataDescription data = describe_data(config);
  EXPECT_EQ(data_description_text(data), "random tokens");
  // Two splits prepare a batch each, beside the one in work.
  EXPECT_EQ(data_memory_bytes(config, data),
            3 * (2 * 4 * 8 * 4) + 2 * PrefetchingSource::kThreadBytes);
}

}  // namespace
}  // namespace borealis
