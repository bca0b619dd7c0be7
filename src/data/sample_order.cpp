#include "data/sample_order.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <span>
#include <string>

#include "data/numpy_random.h"

namespace borealis {

std::vector<SampleOrder::Corpus> SampleOrder::group_by_corpus(const OpenedFiles& files,
                                                              const SplitPlan& plan) {
  std::map<std::string, Corpus> by_label;
  for (size_t i = 0; i < files.size(); ++i) {
    Corpus& corpus = by_label[files[i].corpus];
    if (corpus.starts.empty()) corpus.starts.push_back(0);
    corpus.files.push_back(static_cast<int64_t>(i));
    corpus.starts.push_back(corpus.starts.back() + plan.files[i].samples);
  }
  std::vector<Corpus> corpora;
  for (auto& [label, corpus] : by_label) corpora.push_back(std::move(corpus));
  return corpora;
}

std::vector<double> SampleOrder::weights_of(const std::vector<Corpus>& corpora,
                                            const SplitPlan& plan) {
  std::vector<int64_t> samples;
  for (const Corpus& corpus : corpora) samples.push_back(corpus.starts.back());
  return corpus_weights(samples, plan.train_samples);
}

void SampleOrder::blend_files(Corpus& corpus) {
  const auto total = static_cast<double>(corpus.starts.back());
  std::vector<double> weights;
  for (size_t i = 0; i + 1 < corpus.starts.size(); ++i) {
    weights.push_back(static_cast<double>(corpus.starts[i + 1] - corpus.starts[i]) / total);
  }
  GreedyBlend blend(std::move(weights));
  for (uint32_t& place : corpus.order) {
    const auto [file, number] = blend.next();
    place = static_cast<uint32_t>(corpus.starts[static_cast<size_t>(file)] + number);
  }
}

SampleOrder::SampleOrder(const RunConfig& config, const OpenedFiles& files, const SplitPlan& plan,
                         int64_t block)
    : corpora_(group_by_corpus(files, plan)),
      blend_(weights_of(corpora_, plan)),
      sample_count_(plan.samples_in_block()) {
  const auto seed = static_cast<uint32_t>(config.seed + static_cast<uint64_t>(block));
  indices_.reserve(files.size());
  for (size_t i = 0; i < files.size(); ++i) {
    indices_.emplace_back(files[i].data.lengths(), plan.files[i].range, config.batch.seq_length,
                          plan.files[i].samples, seed);
  }
  if (!config.data.shuffle_sample_in_corpus && !config.data.blend_sample_in_corpus) return;
  for (Corpus& corpus : corpora_) {
    corpus.order.resize(static_cast<size_t>(corpus.starts.back()));
    if (config.data.blend_sample_in_corpus) {
      blend_files(corpus);
    } else {
      std::iota(corpus.order.begin(), corpus.order.end(), 0u);
    }
    // Shuffling the places is the same as shuffling positions and looking the places up.
    if (config.data.shuffle_sample_in_corpus) {
      NumpyRandom(seed).shuffle(std::span<uint32_t>(corpus.order));
    }
  }
}

SampleOrder::Sample SampleOrder::next() {
  const auto [source, taken] = blend_.next();
  const Corpus& corpus = corpora_[static_cast<size_t>(source)];
  int64_t place = taken % corpus.starts.back();
  if (!corpus.order.empty()) place = corpus.order[static_cast<size_t>(place)];
  const auto above = std::upper_bound(corpus.starts.begin(), corpus.starts.end(), place);
  const auto file = static_cast<size_t>(above - corpus.starts.begin() - 1);
  return {corpus.files[file], place - corpus.starts[file]};
}

}  // namespace borealis
