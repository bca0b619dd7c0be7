#include "data/batch_loader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/error.h"
#include "base/units.h"
#include "data/document_ends.h"
#include "data/mock_batch_source.h"
#include "data/prefetching_source.h"
#include "data/sample_stream.h"
#include "data/split_plan.h"

namespace borealis {
namespace {

double share_of(const RunConfig& config, Split split) {
  return parse_split(config.data.split)[static_cast<size_t>(split)];
}

void check_split(const RunConfig& config, Split split) {
  if (config.batch.seq_length < 2 && !config.data.mock_data) {
    throw Error(ErrorKind::kConfig,
                fmt::format("SEQ={} is too short for samples of text", config.batch.seq_length),
                "use a sequence length of 2 or more");
  }
  const double share = share_of(config, split);
  if (split == Split::kTrain && share == 0) {
    throw Error(ErrorKind::kConfig, "TRAIN_SPLIT=0 leaves nothing to train on",
                "give the training data a share, as in 990,10,0");
  }
  if (share == 0 || requested_samples(config, split) > 0) return;
  if (split == Split::kValid && config.limits.eval_interval == 0) return;
  if (split == Split::kTrain) {
    throw Error(ErrorKind::kConfig, "TRAIN_ITERS=0 asks for no training samples",
                "train for at least one iteration");
  }
  throw Error(ErrorKind::kConfig,
              fmt::format("EVAL_ITERS={} contradicts {}={}", config.limits.eval_iters,
                          split_variable(split), share),
              fmt::format("set {}=0 to do without, or raise EVAL_ITERS", split_variable(split)));
}

// Of the segments that a run which goes on from `consumed` has still to do with.
SplitDescription describe_split(const RunConfig& config, const OpenedFiles& files, Split split,
                                const SplitOrder& order, int64_t requested, int64_t consumed) {
  check_split(config, split);
  SplitDescription description{.requested_samples = requested};
  if (description.requested_samples == 0 || config.data.mock_data) return description;
  const std::vector<SplitPlan> plans = plan_segments(config, files, split, order.segments);
  if (plans.empty()) return {.left_empty = true};
  int64_t end = order.begin;
  for (const SplitPlan& plan : plans) {
    end += plan.sample_count();
    description.epochs += plan.epochs;
    if (end <= consumed && &plan != &plans.back()) continue;
    description.index_blocks += plan.blocks;
    description.index_bytes = std::max(description.index_bytes, plan.index_bytes);
    description.index_memory_bytes =
        std::max(description.index_memory_bytes,
                 plan.lengths_bytes +
                     (uses_index_cache(config, plan) ? plan.build_bytes : plan.index_bytes));
    description.mapped_bytes = plan.mapped_bytes;
  }
  for (const FilePlan& file : plans.back().files) {
    description.documents += file.range.count();
    description.tokens += file.range.tokens;
  }
  return description;
}

// The test split is read from its beginning, whatever came before.
SplitOrder order_of(const RunConfig& config, const DataOrder& order, Split split) {
  if (split == Split::kTrain) return order.train;
  if (split == Split::kValid) return order.valid;
  const int64_t samples = requested_samples(config, split);
  SplitOrder test;
  if (samples > 0) {
    test.segments = {{samples, config.limits.train_iters * config.batch.global_batch_size}};
  }
  return test;
}

// What happens to every batch that a source yields. Validation starts its thread when it is first
// asked: that may be hours later.
std::unique_ptr<BatchSource> finish_batches(const RunConfig& config, Split split,
                                            std::unique_ptr<BatchSource> source) {
  if (const auto ends = document_ends(config.data)) {
    source = with_document_ends(std::move(source), *ends);
  }
  using Start = PrefetchingSource::Start;
  return std::make_unique<PrefetchingSource>(
      std::move(source), split == Split::kTrain ? Start::kAtOnce : Start::kAtFirstNext);
}

std::string split_text(const char* name, const SplitDescription& split) {
  if (split.left_empty) return fmt::format("; {}: none, the split leaves it no document", name);
  if (split.requested_samples == 0) return "";
  return fmt::format("; {}: {} documents, {} tokens, {} samples in {} epoch{}", name,
                     format_count(split.documents), format_count(split.tokens),
                     format_count(split.requested_samples), format_count(split.epochs),
                     split.epochs == 1 ? "" : "s");
}

}  // namespace

int64_t requested_samples(const RunConfig& config, Split split) {
  if (share_of(config, split) == 0) return 0;
  const ScheduleLimits& limits = config.limits;
  const int64_t evaluation = limits.eval_iters * config.batch.global_batch_size;
  switch (split) {
    case Split::kTrain:
      return limits.train_iters * config.batch.global_batch_size;
    case Split::kValid:
      if (limits.eval_interval == 0) return 0;
      // One after every interval and one at the end.
      return (limits.train_iters / limits.eval_interval + 1) * evaluation;
    case Split::kTest:
      return evaluation;
  }
  return 0;
}

bool split_is_built(const RunConfig& config, Split split) {
  if (requested_samples(config, split) == 0) return false;
  return config.data.mock_data || has_documents(config, *open_data_files(config), split);
}

DataDescription describe_data(const RunConfig& config) {
  for (const Split split : {Split::kTrain, Split::kValid, Split::kTest}) check_split(config, split);
  return describe_data(config, new_data_order(config), 0, {});
}

DataDescription describe_data(const RunConfig& config, const DataOrder& order, int64_t iteration,
                              const ConsumedSamples& consumed) {
  DataDescription description;
  document_ends(config.data);  // throws if the token is not known
  OpenedFiles none;
  std::shared_ptr<const OpenedFiles> files;
  if (config.data.mock_data) {
    description.source = "random tokens";
  } else {
    description.source = config.data.source();
    files = open_data_files(config);
  }
  const OpenedFiles& opened = files ? *files : none;
  std::set<std::string> corpora;
  for (const OpenedFile& file : opened) {
    corpora.insert(file.corpus);
    ++description.files;
    description.documents += file.data.sequence_count();
    description.tokens += file.data.token_count();
  }
  corpora.erase("");  // a prefix that stands alone has no label
  description.corpora.assign(corpora.begin(), corpora.end());
  const auto describe = [&](Split split, int64_t from) {
    return describe_split(config, opened, split, order_of(config, order, split),
                          samples_at_the_end(config, split, iteration, consumed), from);
  };
  description.train = describe(Split::kTrain, consumed.train);
  description.valid = describe(Split::kValid, consumed.valid);
  description.test = describe(Split::kTest, 0);
  return description;
}

std::string data_description_text(const DataDescription& data) {
  if (data.files == 0) return data.source;
  const size_t corpora = data.corpora.size();
  return fmt::format(
      "{}: {} file{}{}, {} documents, {} tokens{}{}{}", data.source, data.files,
      data.files == 1 ? "" : "s",
      corpora == 0 ? ""
                   : fmt::format(" of {} corp{} ({})", corpora, corpora == 1 ? "us" : "ora",
                                 fmt::join(data.corpora, ", ")),
      format_count(data.documents), format_count(data.tokens), split_text("training", data.train),
      split_text("validation", data.valid), split_text("test", data.test));
}

int64_t data_memory_bytes(const RunConfig& config, const DataDescription& data) {
  constexpr int64_t kToken = sizeof(int32_t);
  const int64_t arrays = 2 + config.data.reset_position_ids + config.data.reset_attention_mask;
  const int64_t batch = arrays * config.batch.micro_batch_size * config.batch.seq_length * kToken;
  // The one that the step works on. Of sequences that it is a part of each source has them whole,
  // and it has positions in any case and knows all documents.
  const int64_t parts = config.parallel.sequence_parallel_size;
  const int64_t kept = parts > 1 ? batch : 0;
  const int64_t sequences = config.batch.micro_batch_size * config.batch.seq_length * kToken;
  int64_t bytes =
      parts > 1 ? 3 * sequences / parts + config.data.reset_attention_mask * sequences : batch;
  for (const SplitDescription* split : {&data.train, &data.valid, &data.test}) {
    if (split->requested_samples == 0) continue;
    bytes += batch + kept + split->index_memory_bytes + PrefetchingSource::kThreadBytes;
  }
  return bytes;
}

void make_index_files(const RunConfig& config, const DataOrder& order,
                      const ConsumedSamples& consumed) {
  if (config.data.mock_data || config.data.cache_path.empty()) return;
  std::error_code unknown;
  std::filesystem::create_directories(config.data.cache_path, unknown);
  // Elsewhere each rank has an index in its memory.
  if (::access(config.data.cache_path.c_str(), W_OK) != 0) return;
  const auto files = open_data_files(config);
  const auto make = [&](Split split, int64_t from) {
    if (requested_samples(config, split) == 0) return;
    const SplitOrder chain = order_of(config, order, split);
    int64_t end = chain.begin;
    for (const SplitPlan& plan : plan_segments(config, *files, split, chain.segments)) {
      end += plan.sample_count();
      if (end > from && uses_index_cache(config, plan)) SampleOrder(config, *files, plan, 0);
    }
  };
  make(Split::kTrain, consumed.train);
  make(Split::kValid, consumed.valid);
  make(Split::kTest, 0);
}

std::unique_ptr<BatchSource> make_batch_source(const RunConfig& config, Split split,
                                               int64_t first_sample, int64_t data_parallel_rank) {
  check_split(config, split);
  return make_batch_source(config, new_data_order(config), split, first_sample, data_parallel_rank);
}

std::unique_ptr<BatchSource> make_batch_source(const RunConfig& config, const DataOrder& order,
                                               Split split, int64_t first_sample,
                                               int64_t data_parallel_rank) {
  check_split(config, split);
  if (requested_samples(config, split) == 0) return nullptr;
  if (config.data.mock_data) {
    return finish_batches(
        config, split,
        std::make_unique<MockBatchSource>(config, split, first_sample, data_parallel_rank));
  }
  auto files = open_data_files(config);
  const SplitOrder chain = order_of(config, order, split);
  auto plans = plan_segments(config, *files, split, chain.segments);
  if (plans.empty()) return nullptr;
  auto stream = std::make_unique<SampleStream>(config, std::move(files), std::move(plans),
                                               first_sample - chain.begin, data_parallel_rank);
  stream->build_index();
  return finish_batches(config, split, std::move(stream));
}

}  // namespace borealis
