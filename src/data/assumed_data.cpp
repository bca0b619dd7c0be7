#include "data/assumed_data.h"

#include <algorithm>
#include <array>

#include "data/blending.h"
#include "data/corpus_order.h"
#include "data/sample_index.h"
#include "data/split_plan.h"

namespace borealis {
namespace {

SplitDescription assumed_split(const RunConfig& config, Split split) {
  SplitDescription description{.requested_samples = requested_samples(config, split)};
  if (description.requested_samples == 0) return description;
  const bool alone = config.data.is_one_prefix();
  const CorpusShuffling shuffling{.blend = config.data.blend_sample_in_corpus && !alone,
                                  .shuffle = config.data.shuffle_sample_in_corpus && !alone};
  const IndexLimits limits;
  const std::array<double, 1> weight = {1};
  const int64_t samples = alone ? description.requested_samples
                                : file_sample_counts(weight, description.requested_samples)[0];
  const int64_t tokens = samples * config.batch.seq_length + 1;
  const SequenceRange range{.first = 0, .last = samples, .tokens = tokens};
  const auto shape = sample_index_shape(range, config.batch.seq_length, samples);
  const int64_t order_bytes = CorpusOrder::bytes(samples, shuffling);
  description.index_blocks = 1;
  description.index_bytes = shape.bytes(samples) + order_bytes;
  const int64_t lengths_bytes = SampleIndexShape::lengths_bytes(samples);
  description.index_memory_bytes =
      lengths_bytes + (config.data.cache_path.empty() ? description.index_bytes
                                                      : shape.build_bytes(samples) + order_bytes);
  if (description.index_bytes > limits.whole_bytes) {
    description.index_blocks = (description.index_bytes - 1) / limits.block_bytes + 1;
    description.index_bytes = limits.block_bytes;
    description.index_memory_bytes = limits.block_bytes + lengths_bytes;
  }
  return description;
}

}  // namespace

DataDescription assumed_data(const RunConfig& config) {
  DataDescription data;
  data.source = "data that is not at hand";
  data.train = assumed_split(config, Split::kTrain);
  data.valid = assumed_split(config, Split::kValid);
  data.test = assumed_split(config, Split::kTest);
  return data;
}

}  // namespace borealis
