#include "data/sample_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "base/units.h"

namespace borealis {

SampleStream::SampleStream(const RunConfig& config, std::shared_ptr<const OpenedFiles> files,
                           std::vector<SplitPlan> plans, int64_t first_sample,
                           int64_t data_parallel_rank)
    : config_(config),
      files_(std::move(files)),
      plans_(std::move(plans)),
      position_(first_sample),
      rank_offset_(data_parallel_rank * config.batch.micro_batch_size) {
  if (first_sample < 0 || first_sample >= sample_count()) {
    throw Error(ErrorKind::kData,
                fmt::format("the run is to go on at {} sample {}, but its data ends after {}",
                            split_name(plans_.front().split), first_sample, sample_count()),
                "raise TRAIN_ITERS (or the tokens to train on)");
  }
  for (const OpenedFile& file : *files_) file.data.expect_random_reads();
  for (const SplitPlan& plan : plans_) {
    if (plan.blocks == 1 || data_parallel_rank != 0) continue;
    log_info(fmt::format(
        "{}: the index of all {} samples would take {}, so it is built in {} blocks of {} samples "
        "({} each); every block is shuffled by itself with the seed + its number",
        split_name(plan.split), format_count(plan.requested), format_bytes(plan.whole_index_bytes),
        plan.blocks, format_count(plan.block_samples), format_bytes(plan.index_bytes)));
  }
}

int64_t SampleStream::sample_count() const {
  int64_t count = 0;
  for (const SplitPlan& plan : plans_) count += plan.sample_count();
  return count;
}

void SampleStream::build_index() { move_to(position_ + rank_offset_); }

SampleStream::Place SampleStream::place_of(int64_t position) const {
  Place place{.segment = 0, .block = 0, .inside = position};
  while (place.segment + 1 < plans_.size() &&
         place.inside >= plans_[place.segment].sample_count()) {
    place.inside -= plans_[place.segment].sample_count();
    ++place.segment;
  }
  const SplitPlan& plan = plans_[place.segment];
  if (plan.blocks > 1) {
    place.block = place.inside / plan.block_samples;
    place.inside -= place.block * plan.block_samples;
  }
  return place;
}

void SampleStream::move_to(int64_t position) {
  const Place place = place_of(position);
  // The order cannot go back, as it would to samples that were refused and are asked for again.
  if (!order_ || !place.same_block_as(order_at_) || order_->taken() > place.inside) {
    order_.reset();  // two blocks never are in memory together
    order_.emplace(config_, *files_, plans_[place.segment], place.block);
    order_at_ = place;
  }
  order_->skip(place.inside - order_->taken());
}

// The sample's first token goes to tokens[0], the others to the targets, whose copies are the other
// tokens.
void SampleStream::read_sample(const SampleOrder::Sample& sample, int32_t* tokens,
                               int32_t* targets) {
  const IndexedDataset& data = (*files_)[static_cast<size_t>(sample.file)].data;
  const int64_t vocab_size = config_.model.vocab_size;
  int32_t* out = tokens;
  order_->for_each_piece(sample, [&](int64_t sequence, int64_t first, int64_t count) {
    if (out == tokens) {
      data.read(sequence, first, 1, vocab_size, tokens);
      out = targets;
      ++first;
      --count;
    }
    data.read(sequence, first, count, vocab_size, out);
    out += count;
  });
  std::copy_n(targets, config_.batch.seq_length - 1, tokens + 1);
}

// Draws the samples of the next batch early, so that their pages are on the way while this one is
// in use. Only inside the block that is in memory. What is wrong with them is told when it is their
// turn.
void SampleStream::announce_next() {
  const int64_t rows = config_.batch.micro_batch_size;
  const int64_t begin = position_ + rank_offset_;
  drawn_.clear();
  if (position_ + rows * config_.parallel.data_parallel_size() > sample_count() ||
      !place_of(begin).same_block_as(order_at_) ||
      !place_of(begin + rows - 1).same_block_as(order_at_)) {
    return;
  }
  try {
    move_to(begin);
    for (int64_t row = 0; row < rows; ++row) {
      drawn_.push_back(order_->next());
      const SampleOrder::Sample& sample = drawn_.back();
      const IndexedDataset& data = (*files_)[static_cast<size_t>(sample.file)].data;
      order_->for_each_piece(sample, [&](int64_t sequence, int64_t first, int64_t count) {
        data.will_need(sequence, first, count);
      });
      release_pages(sample);
    }
  } catch (const Error&) {
    drawn_.clear();
  }
}

// Pages that have been read are no part of the plan, and would count as the process' memory for
// ever: of a large corpus they are more than all else, for a page can bring those around it, up to
// 2 MiB of each of the arrays that lead to a sample.
void SampleStream::release_pages(const SampleOrder::Sample& sample) {
  (*files_)[static_cast<size_t>(sample.file)].data.forget_pages();
  order_->forget_pages(sample.file);
}

// An incomplete tail is dropped on all ranks, also on those whose part of it is complete.
int64_t SampleStream::samples_of_next() const {
  const int64_t together = config_.batch.micro_batch_size * config_.parallel.data_parallel_size();
  if (position_ + together <= sample_count()) return together;
  throw Error(ErrorKind::kData,
              fmt::format("the {} samples of the {} data are used up", format_count(sample_count()),
                          split_name(plans_.front().split)),
              "the run was planned for fewer samples; raise TRAIN_ITERS or EVAL_ITERS");
}

void SampleStream::skip() {
  position_ += samples_of_next();
  drawn_.clear();
}

void SampleStream::next(Batch& batch) {
  const int64_t together = samples_of_next();
  const int64_t rows = config_.batch.micro_batch_size;
  const int64_t length = config_.batch.seq_length;
  batch.batch_size = rows;
  batch.seq_length = length;
  batch.tokens.resize(static_cast<size_t>(rows * length));
  batch.targets.resize(batch.tokens.size());
  for (int64_t row = 0; row < rows; ++row) {
    if (drawn_.empty()) move_to(position_ + rank_offset_ + row);
    const SampleOrder::Sample sample =
        drawn_.empty() ? order_->next() : drawn_[static_cast<size_t>(row)];
    read_sample(sample, batch.tokens.data() + row * length, batch.targets.data() + row * length);
    release_pages(sample);
  }
  position_ += together;
  announce_next();
}

}  // namespace borealis
