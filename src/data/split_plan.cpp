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

int64_t SplitPlan::samples_in_block() const {
  int64_t sum = 0;
  for (const FilePlan& file : files) sum += file.samples;
  return sum;
}

bool uses_index_cache(const RunConfig& config, const SplitPlan& plan) {
  return plan.blocks == 1 && !config.data.cache_path.empty();
}

SplitPlan plan_split(const RunConfig& config, const OpenedFiles& files, Split split,
                     int64_t requested, const IndexLimits& limits) {
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
  for (size_t i = 0; i < files.size(); ++i) plan.files[i].samples = sizes.samples[i];
  plan.index_bytes = sizes.index_bytes;
  plan.build_bytes = sizes.build_bytes;
  plan.epochs = sizes.epochs * plan.blocks;
  const int64_t train = config.limits.train_iters * config.batch.global_batch_size;
  for (const int64_t samples : file_sample_counts(weights, train)) plan.train_samples += samples;
  return plan;
}

}  // namespace borealis
