#include "data/data_order.h"

#include <algorithm>

#include "data/batch_loader.h"
#include "data/split_plan.h"
#include "tokenizer/utf8.h"

namespace borealis {
namespace {

// Steps done may have been of another global batch.
int64_t train_samples_left(const RunConfig& config, int64_t iteration) {
  return std::max<int64_t>(config.limits.train_iters - iteration, 0) *
         config.batch.global_batch_size;
}

SplitOrder one_segment(int64_t begin, int64_t samples, int64_t train_samples) {
  SplitOrder order{.begin = begin, .segments = {}};
  if (samples > 0) order.segments.push_back({samples, train_samples});
  return order;
}

// Samples that the split can give, with those consumed before the order began.
int64_t end_of(const RunConfig& config, const OpenedFiles* files, Split split,
               const SplitOrder& order) {
  int64_t end = order.begin;
  if (files == nullptr) {  // random tokens
    for (const DataSegment& segment : order.segments) end += segment.samples;
    return end;
  }
  for (const SplitPlan& plan : plan_segments(config, *files, split, order.segments)) {
    end += plan.sample_count();
  }
  return end;
}

// Validation samples from `iteration` on: those of every interval and of the end of the run.
int64_t valid_samples_left(const RunConfig& config, int64_t iteration) {
  if (requested_samples(config, Split::kValid) == 0) return 0;
  const ScheduleLimits& limits = config.limits;
  const int64_t rounds =
      1 + limits.train_iters / limits.eval_interval - iteration / limits.eval_interval;
  return std::max<int64_t>(rounds, 1) * limits.eval_iters * config.batch.global_batch_size;
}

}  // namespace

int64_t samples_at_the_end(const RunConfig& config, Split split, int64_t iteration,
                           const ConsumedSamples& consumed) {
  const int64_t of_whole = requested_samples(config, split);
  if (iteration == 0 || of_whole == 0 || split == Split::kTest) return of_whole;
  if (split == Split::kValid) return consumed.valid + valid_samples_left(config, iteration);
  return consumed.train + train_samples_left(config, iteration);
}

DataIdentity data_identity(const RunConfig& config) {
  DataIdentity identity{.mock = config.data.mock_data,
                        .split = config.data.split,
                        .exact_epochs = config.data.exact_epochs.value_or(0),
                        .shuffle_in_corpus = config.data.shuffle_sample_in_corpus,
                        .blend_in_corpus = config.data.blend_sample_in_corpus,
                        .files = {}};
  if (config.data.mock_data) return identity;
  const auto files = open_data_files(config);
  for (const OpenedFile& file : *files) {
    // As a checkpoint can hold the label.
    identity.files.push_back({file.weight, replace_invalid_utf8(file.corpus),
                              file.data.sequence_count(), file.data.token_count()});
  }
  return identity;
}

DataOrder new_data_order(const RunConfig& config, int64_t iteration,
                         const ConsumedSamples& consumed) {
  const int64_t valid =
      samples_at_the_end(config, Split::kValid, iteration, consumed) - consumed.valid;
  // A run that has reached its end may still validate.
  const int64_t asked =
      std::max(train_samples_left(config, iteration), config.batch.global_batch_size);
  return {.train = one_segment(consumed.train, asked, asked),
          .valid = one_segment(consumed.valid, valid, asked)};
}

DataOrder extended_data_order(const RunConfig& config, DataOrder begun, int64_t iteration,
                              const ConsumedSamples& consumed) {
  std::shared_ptr<const OpenedFiles> files;
  if (!config.data.mock_data) files = open_data_files(config);
  const int64_t train_samples = samples_at_the_end(config, Split::kTrain, iteration, consumed);
  const auto extend = [&](Split split, SplitOrder& order, int64_t needed_end) {
    if (files && !has_documents(config, *files, split)) return;
    const int64_t missing = needed_end - end_of(config, files.get(), split, order);
    if (missing > 0) order.segments.push_back({missing, train_samples});
  };
  extend(Split::kTrain, begun.train, train_samples);
  const int64_t valid_left = valid_samples_left(config, iteration);
  if (valid_left > 0) extend(Split::kValid, begun.valid, consumed.valid + valid_left);
  return begun;
}

}  // namespace borealis
