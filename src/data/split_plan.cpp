#include "data/split_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "base/check.h"
#include "base/error.h"
#include "data/blending.h"
#include "data/corpus_order.h"
#include "data/data_file_list.h"

namespace borealis {
namespace {

SequenceRange sequence_range(const IndexedDataset& data, const SplitShares& shares, Split split) {
  const auto bounds = split_bounds(shares, data.sequence_count());
  const auto part = static_cast<size_t>(split);
  SequenceRange range{.first = bounds[part], .last = bounds[part + 1]};
  for (int64_t i = range.first; i < range.last; ++i) range.tokens += data.lengths()[i];
  return range;
}

void check_range(const IndexedDataset& data, const SequenceRange& range, Split split,
                 const std::string& shares) {
  if (data.sequence_count() == 0) {
    throw Error(ErrorKind::kData, fmt::format("{}.idx holds no documents", data.prefix()),
                "tokenize some text into it or take it off the data list");
  }
  if (range.last > std::numeric_limits<int32_t>::max()) {
    throw Error(ErrorKind::kData,
                fmt::format("{}.idx holds {} sequences; an index numbers up to {}", data.prefix(),
                            data.sequence_count(), std::numeric_limits<int32_t>::max()),
                "split the data set into smaller ones");
  }
  if (range.count() == 0) {
    throw Error(ErrorKind::kData,
                fmt::format("{}: the split {} leaves no document for {} ({} in all)", data.prefix(),
                            shares, split_name(split), data.sequence_count()),
                fmt::format("raise {0}, set {0}=0 to do without, or use more documents",
                            split_variable(split)));
  }
  if (range.tokens < 2) {
    throw Error(ErrorKind::kData,
                fmt::format("{}: the {} documents for {} hold {} token{}; a sample needs two",
                            data.prefix(), range.count(), split_name(split), range.tokens,
                            range.tokens == 1 ? "" : "s"),
                fmt::format("use more text, or another split ({})", split_variable(split)));
  }
}

// Everything that depends on how many samples one block has.
struct BlockSizes {
  std::vector<int64_t> samples;  // of every file
  int64_t index_bytes = 0;
  int64_t build_bytes = 0;
  int64_t epochs = 0;
};

BlockSizes block_sizes(const RunConfig& config, const std::vector<double>& weights,
                       const std::vector<FilePlan>& files, int64_t block_samples) {
  BlockSizes sizes;
  sizes.samples = file_sample_counts(weights, block_samples);
  const CorpusShuffling shuffling{.blend = config.data.blend_sample_in_corpus,
                                  .shuffle = config.data.shuffle_sample_in_corpus};
  for (size_t i = 0; i < files.size(); ++i) {
    const SequenceRange& range = files[i].range;
    const auto shape = sample_index_shape(range, config.batch.seq_length, sizes.samples[i]);
    const int64_t order_bytes = CorpusOrder::bytes(sizes.samples[i], shuffling);
    sizes.index_bytes += shape.bytes(range.count()) + order_bytes;
    sizes.build_bytes += shape.build_bytes(range.count()) + order_bytes;
    sizes.epochs = std::max(sizes.epochs, shape.epochs);
  }
  return sizes;
}

// The largest number of samples, at least 1, for which `fits` holds; it holds up to there.
template <typename Fits>
int64_t samples_that_fit(int64_t requested, Fits fits) {
  int64_t good = 1;
  int64_t bad = requested + 1;
  while (bad - good > 1) {
    const int64_t middle = good + (bad - good) / 2;
    (fits(middle) ? good : bad) = middle;
  }
  return good;
}

}  // namespace

std::shared_ptr<const OpenedFiles> open_data_files(const RunConfig& config) {
  const std::vector<DataFileEntry> entries = read_data_file_list(config.data.data_file_list);
  std::set<std::string> with_samples;
  for (const DataFileEntry& entry : entries) {
    if (entry.weight > 0) with_samples.insert(entry.corpus);
  }
  auto opened = std::make_shared<OpenedFiles>();
  std::set<std::string> without_samples;
  std::map<std::string, int64_t> members;
  for (const DataFileEntry& entry : entries) {
    if (!with_samples.contains(entry.corpus)) without_samples.insert(entry.corpus);
    const bool can_be_drawn =
        config.data.blend_sample_in_corpus && with_samples.contains(entry.corpus);
    const int64_t member = members[entry.corpus]++;
    if (entry.weight == 0 && !can_be_drawn) continue;
    opened->files.push_back(
        {entry.weight, entry.corpus, entry.listed_prefix, member, IndexedDataset(entry.prefix)});
  }
  opened->corpora_without_samples.assign(without_samples.begin(), without_samples.end());
  return opened;
}

int64_t FilePlan::available() const {
  return generations.empty() ? 0 : generations.back().begin + generations.back().count - first;
}

int64_t SplitPlan::sample_count() const { return blocks == 1 ? samples_in_block() : requested; }

int64_t SplitPlan::samples_in_block() const {
  int64_t sum = 0;
  for (const FilePlan& file : files) sum += file.samples;
  return sum;
}

bool uses_index_cache(const RunConfig& config, const SplitPlan& plan) {
  return plan.blocks == 1 && !config.data.cache_path.empty();
}

namespace {

// A segment as if it were the first.
SplitPlan plan_segment(const RunConfig& config, const OpenedFiles& files, Split split,
                       const DataSegment& segment, const IndexLimits& limits) {
  const int64_t requested = segment.samples;
  CHECK(requested > 0);
  const SplitShares shares = parse_split(config.data.split);
  SplitPlan plan{.split = split, .requested = requested};
  std::vector<double> weights;
  int64_t token_bytes = 0;
  for (const OpenedFile& file : files) {
    const SequenceRange range = sequence_range(file.data, shares, split);
    check_range(file.data, range, split, config.data.split);
    weights.push_back(file.weight);
    plan.files.push_back({.range = range});
    token_bytes += range.tokens * token_type_bytes(file.data.token_type());
    plan.mapped_bytes += file.data.index_file_bytes();
  }
  plan.mapped_bytes += token_bytes;
  const auto sizes_of = [&](int64_t samples) {
    return block_sizes(config, weights, plan.files, samples);
  };
  plan.whole_index_bytes = sizes_of(requested).index_bytes;
  int64_t most = requested;
  if (plan.whole_index_bytes > std::max(limits.whole_bytes, token_bytes)) {
    most = samples_that_fit(requested, [&](int64_t samples) {
      const BlockSizes sizes = sizes_of(samples);
      return sizes.epochs == 1 || sizes.index_bytes <= limits.block_bytes;
    });
  }
  plan.blocks = (requested + most - 1) / most;
  plan.block_samples = (requested + plan.blocks - 1) / plan.blocks;
  const BlockSizes sizes = sizes_of(plan.block_samples);
  for (size_t i = 0; i < files.size(); ++i) {
    FilePlan& file = plan.files[i];
    file.samples = sizes.samples[i];
    const auto shape = sample_index_shape(file.range, config.batch.seq_length, file.samples);
    file.generations = {
        {.number = 0, .requested = file.samples, .count = shape.samples, .begin = 0}};
  }
  plan.index_bytes = sizes.index_bytes;
  plan.build_bytes = sizes.build_bytes;
  plan.epochs = sizes.epochs * plan.blocks;
  for (const int64_t samples : file_sample_counts(weights, segment.train_samples)) {
    plan.train_samples += samples;
  }
  return plan;
}

// The stream of a file over the segments so far.
struct FileStream {
  int64_t taken = 0;   // samples that the segments have asked for
  int64_t length = 0;  // samples that the generations have
  std::vector<FileGeneration> generations;

  // The next `file.samples` samples; a further generation where those that there are end.
  void give(FilePlan& file, int64_t seq_length) {
    file.first = taken;
    const int64_t end = taken + file.samples;
    if (end > length || generations.empty()) {
      const int64_t requested = end - length;
      const auto shape = sample_index_shape(file.range, seq_length, requested);
      generations.push_back({std::ssize(generations), requested, shape.samples, length});
      length += shape.samples;
    }
    file.generations.clear();
    for (const FileGeneration& generation : generations) {
      if (generation.begin + generation.count > file.first && generation.begin < end) {
        file.generations.push_back(generation);
      }
    }
    // An index of no samples is made where the reference makes one.
    if (file.generations.empty() && taken == 0) file.generations = {generations.front()};
    taken = end;
  }
};

void recount_index_bytes(const RunConfig& config, SplitPlan& plan) {
  const CorpusShuffling shuffling{.blend = config.data.blend_sample_in_corpus,
                                  .shuffle = config.data.shuffle_sample_in_corpus};
  plan.index_bytes = plan.build_bytes = 0;
  for (const FilePlan& file : plan.files) {
    const int64_t order_bytes = CorpusOrder::bytes(file.samples, shuffling);
    plan.index_bytes += order_bytes;
    plan.build_bytes += order_bytes;
    for (const FileGeneration& generation : file.generations) {
      const auto shape =
          sample_index_shape(file.range, config.batch.seq_length, generation.requested);
      plan.index_bytes += shape.bytes(file.range.count());
      plan.build_bytes += shape.build_bytes(file.range.count());
    }
  }
}

}  // namespace

std::vector<SplitPlan> plan_segments(const RunConfig& config, const OpenedFiles& files, Split split,
                                     std::span<const DataSegment> segments,
                                     const IndexLimits& limits) {
  std::vector<SplitPlan> plans;
  std::vector<FileStream> streams(files.size());
  int64_t blocks = 0;
  for (const DataSegment& segment : segments) {
    SplitPlan plan = plan_segment(config, files, split, segment, limits);
    plan.first_block = blocks;
    blocks += plan.blocks;
    if (plan.blocks == 1) {
      for (size_t i = 0; i < files.size(); ++i) {
        streams[i].give(plan.files[i], config.batch.seq_length);
      }
      recount_index_bytes(config, plan);
    }
    plans.push_back(std::move(plan));
  }
  return plans;
}

SplitPlan plan_split(const RunConfig& config, const OpenedFiles& files, Split split,
                     int64_t requested, const IndexLimits& limits) {
  const DataSegment segment{requested, config.limits.train_iters * config.batch.global_batch_size};
  return plan_segments(config, files, split, {&segment, 1}, limits).front();
}

}  // namespace borealis
