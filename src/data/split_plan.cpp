#include "data/split_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "base/error.h"
#include "base/rounding.h"
#include "data/blending.h"
#include "data/corpus_order.h"

namespace borealis {
namespace {

SequenceRange sequence_range(const IndexedDataset& data, const RunConfig& config, Split split) {
  const auto bounds = split_bounds(parse_split(config.data.split), data.sequence_count());
  const auto part = static_cast<size_t>(split);
  SequenceRange range{.first = bounds[part], .last = bounds[part + 1]};
  range.tokens = data.tokens_in(range.first, range.last);
  if (split == Split::kTrain) range.epochs = config.data.exact_epochs.value_or(0);
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
                fmt::format("raise its share ({}, or --split where it is given), or make more "
                            "documents of the text (`borealis data tokenize --document-per`)",
                            split_variable(split)));
  }
  if (range.tokens < 2) {
    throw Error(ErrorKind::kData,
                fmt::format("{}: the {} documents for {} hold {} token{}; a sample needs two",
                            data.prefix(), range.count(), split_name(split), range.tokens,
                            range.tokens == 1 ? "" : "s"),
                fmt::format("use more text, or another split ({}, or --split where it is given)",
                            split_variable(split)));
  }
}

// A file without two tokens for validation or test gives them nothing.
bool takes_part(const SequenceRange& range) { return range.tokens >= 2; }

void check_exact_epochs(const IndexedDataset& data, const SequenceRange& range, int64_t seq_length,
                        int64_t requested) {
  if (range.epochs == 0 || exact_epochs_fit(range, seq_length, requested)) return;
  SequenceRange free = range;
  free.epochs = 0;
  const auto shape = sample_index_shape(free, seq_length, requested);
  throw Error(ErrorKind::kConfig,
              fmt::format("--train-data-exact-num-epochs {}: the {} samples that are asked of {} "
                          "take {} of its epochs of {} tokens",
                          range.epochs, requested, data.prefix(), shape.epochs, range.tokens),
              fmt::format("give {}, or train on another number of samples", shape.epochs));
}

// Samples asked of every file.
std::vector<int64_t> sample_counts(const OpenedFiles& files, const std::vector<double>& weights,
                                   int64_t samples) {
  if (files.one_prefix) return {samples};
  return file_sample_counts(weights, samples);
}

CorpusShuffling shuffling_of(const RunConfig& config, const OpenedFiles& files) {
  return {.blend = config.data.blend_sample_in_corpus && !files.one_prefix,
          .shuffle = config.data.shuffle_sample_in_corpus && !files.one_prefix};
}

// Everything that depends on how many samples one block has.
struct BlockSizes {
  std::vector<int64_t> samples;  // of every file
  int64_t index_bytes = 0;
  int64_t build_bytes = 0;
  int64_t epochs = 0;
};

BlockSizes block_sizes(const RunConfig& config, const OpenedFiles& opened,
                       const std::vector<double>& weights, const std::vector<FilePlan>& files,
                       int64_t block_samples) {
  BlockSizes sizes;
  sizes.samples = sample_counts(opened, weights, block_samples);
  const CorpusShuffling shuffling = shuffling_of(config, opened);
  for (size_t i = 0; i < files.size(); ++i) {
    const SequenceRange& range = files[i].range;
    if (!takes_part(range)) continue;
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

int64_t FilePlan::available() const {
  return generations.empty() ? 0 : generations.back().begin + generations.back().count - first;
}

int64_t SplitPlan::sample_count() const { return blocks == 1 ? samples_in_block() : requested; }

int64_t SplitPlan::samples_in_block() const {
  int64_t sum = 0;
  for (const FilePlan& file : files) sum += file.samples;
  return sum;
}

bool has_documents(const RunConfig& config, const OpenedFiles& files, Split split) {
  if (split == Split::kTrain) return true;
  return std::ranges::any_of(files, [&](const OpenedFile& file) {
    return file.weight > 0 && takes_part(sequence_range(file.data, config, split));
  });
}

bool uses_index_cache(const RunConfig& config, const SplitPlan& plan) {
  return plan.blocks == 1 && !config.data.cache_path.empty();
}

namespace {

// A segment by itself. Exact epochs are those that a run begins with: what it goes on for behind
// them takes as many as it needs.
SplitPlan plan_segment(const RunConfig& config, const OpenedFiles& files, Split split,
                       const DataSegment& segment, bool begins, const IndexLimits& limits) {
  const int64_t requested = segment.samples;
  CHECK(requested > 0);
  SplitPlan plan{.split = split, .requested = requested};
  std::vector<double> weights;
  int64_t token_bytes = 0;
  for (const OpenedFile& file : files) {
    SequenceRange range = sequence_range(file.data, config, split);
    if (!begins) range.epochs = 0;
    if (split == Split::kTrain || takes_part(range)) {
      check_range(file.data, range, split, config.data.split);
    }
    weights.push_back(takes_part(range) ? file.weight : 0);
    plan.files.push_back({.range = range});
    token_bytes += range.tokens * token_type_bytes(file.data.token_type());
    plan.lengths_bytes += SampleIndexShape::lengths_bytes(range.count());
    plan.mapped_bytes += file.data.index_file_bytes();
  }
  plan.mapped_bytes += token_bytes;
  const auto sizes_of = [&](int64_t samples) {
    return block_sizes(config, files, weights, plan.files, samples);
  };
  const std::vector<int64_t> asked = sample_counts(files, weights, requested);
  for (size_t i = 0; i < files.size(); ++i) {
    check_exact_epochs(files[i].data, plan.files[i].range, config.batch.seq_length, asked[i]);
  }
  plan.whole_index_bytes = sizes_of(requested).index_bytes;
  int64_t most = requested;
  const bool exact = begins && split == Split::kTrain && config.data.exact_epochs.has_value();
  if (!exact && plan.whole_index_bytes > std::max(limits.whole_bytes, token_bytes)) {
    most = samples_that_fit(requested, [&](int64_t samples) {
      const BlockSizes sizes = sizes_of(samples);
      return sizes.epochs == 1 || sizes.index_bytes <= limits.block_bytes;
    });
  }
  plan.blocks = divide_up(requested, most);
  plan.block_samples = divide_up(requested, plan.blocks);
  const BlockSizes sizes = sizes_of(plan.block_samples);
  for (size_t i = 0; i < files.size(); ++i) {
    FilePlan& file = plan.files[i];
    file.samples = sizes.samples[i];
    if (!takes_part(file.range)) continue;
    const auto shape = sample_index_shape(file.range, config.batch.seq_length, file.samples);
    file.generations = {{.number = 0,
                         .requested = file.samples,
                         .count = shape.samples,
                         .begin = 0,
                         .epochs = file.range.epochs}};
    // Alone it gives all that its index has.
    if (files.one_prefix && plan.blocks == 1) file.samples = shape.samples;
  }
  plan.index_bytes = sizes.index_bytes;
  plan.build_bytes = sizes.build_bytes;
  plan.epochs = sizes.epochs * plan.blocks;
  // Their sum divides weights that are then normalized, so of one prefix any will do.
  for (const int64_t samples : sample_counts(files, weights, segment.train_samples)) {
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
  void give(FilePlan& file, int64_t seq_length, bool one_prefix) {
    if (!takes_part(file.range)) return;
    file.first = taken;
    int64_t end = taken + file.samples;
    if (end > length || generations.empty()) {
      FileGeneration next{
          .number = std::ssize(generations), .begin = length, .epochs = file.range.epochs};
      next.requested = one_prefix ? file.generations.front().requested : end - length;
      next.count = sample_index_shape(file.range_of(next), seq_length, next.requested).samples;
      generations.push_back(next);
      length += next.count;
      if (one_prefix) end = length;
    }
    file.samples = end - taken;
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

void recount_index_bytes(const RunConfig& config, const OpenedFiles& files, SplitPlan& plan) {
  const CorpusShuffling shuffling = shuffling_of(config, files);
  plan.index_bytes = plan.build_bytes = 0;
  for (const FilePlan& file : plan.files) {
    const int64_t order_bytes = CorpusOrder::bytes(file.samples, shuffling);
    plan.index_bytes += order_bytes;
    plan.build_bytes += order_bytes;
    for (const FileGeneration& generation : file.generations) {
      const auto shape = sample_index_shape(file.range_of(generation), config.batch.seq_length,
                                            generation.requested);
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
  if (!has_documents(config, files, split)) return plans;
  std::vector<FileStream> streams(files.size());
  int64_t blocks = 0;
  for (const DataSegment& segment : segments) {
    SplitPlan plan = plan_segment(config, files, split, segment, plans.empty(), limits);
    plan.first_block = blocks;
    blocks += plan.blocks;
    if (plan.blocks == 1) {
      for (size_t i = 0; i < files.size(); ++i) {
        streams[i].give(plan.files[i], config.batch.seq_length, files.one_prefix);
      }
      recount_index_bytes(config, files, plan);
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
