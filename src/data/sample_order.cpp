#include "data/sample_order.h"

#include <map>
#include <string>
#include <utility>

#include "data/index_cache.h"

namespace borealis {
namespace {

// Files of every corpus, in list order, by label; std::map sorts labels by code point, as UTF-8
// does by bytes.
std::map<std::string, std::vector<int64_t>> files_by_corpus(const OpenedFiles& files) {
  std::map<std::string, std::vector<int64_t>> by_label;
  for (const std::string& label : files.corpora_without_samples) by_label[label];
  for (size_t i = 0; i < files.size(); ++i) {
    by_label[files[i].corpus].push_back(static_cast<int64_t>(i));
  }
  return by_label;
}

// Of one seed.
std::vector<SampleIndex> make_indices(const IndexSettings& settings,
                                      const std::vector<FileIndexRequest>& requests) {
  if (!settings.folder.empty()) return cached_sample_indices(requests, settings);
  std::vector<SampleIndex> indices;
  for (const FileIndexRequest& request : requests) {
    indices.emplace_back(request.data->lengths(), request.range, settings.seq_length,
                         request.requested, settings.seed);
    request.data->forget_pages();
  }
  return indices;
}

// What is to be made with one seed: requests, and the file of each.
struct SeededRequests {
  std::vector<FileIndexRequest> requests;
  std::vector<size_t> files;
};

// By what is added to the seed, so that a file's generations come in their order.
std::map<int64_t, SeededRequests> requests_by_seed(const OpenedFiles& files,
                                                   const SplitPlan& plan) {
  std::map<int64_t, SeededRequests> by_seed;
  for (size_t i = 0; i < files.size(); ++i) {
    for (const FileGeneration& generation : plan.files[i].generations) {
      SeededRequests& group = by_seed[generation.number];
      group.requests.push_back({.data = &files[i].data,
                                .listed_prefix = files[i].listed_prefix,
                                .range = plan.files[i].range_of(generation),
                                .requested = generation.requested});
      group.files.push_back(i);
    }
  }
  return by_seed;
}

std::vector<CorpusOrder> make_corpus_orders(const std::vector<CorpusOrderRequest>& requests,
                                            const CorpusShuffling& shuffling,
                                            const IndexSettings& settings) {
  if (!settings.folder.empty()) return cached_corpus_orders(requests, shuffling, settings);
  std::vector<CorpusOrder> orders;
  for (const CorpusOrderRequest& request : requests) {
    orders.emplace_back(request.members, shuffling, request.label);
  }
  return orders;
}

std::vector<double> weights_of(const OpenedFiles& files, const SplitPlan& plan) {
  std::vector<int64_t> samples;
  for (const auto& [label, members] : files_by_corpus(files)) {
    samples.push_back(0);
    for (const int64_t file : members)
      samples.back() += plan.files[static_cast<size_t>(file)].samples;
  }
  return corpus_weights(samples, plan.train_samples);
}

}  // namespace

SampleOrder::SampleOrder(const RunConfig& config, const OpenedFiles& files, const SplitPlan& plan,
                         int64_t block)
    : blend_(weights_of(files, plan)), sample_count_(plan.samples_in_block()) {
  IndexSettings settings{.folder = uses_index_cache(config, plan) ? config.data.cache_path : "",
                         .split = plan.split,
                         .seq_length = config.batch.seq_length,
                         .seed = static_cast<uint32_t>(config.seed),
                         .split_text = config.data.split};
  const auto block_seed = static_cast<uint32_t>(plan.first_block + block);
  files_.resize(files.size());
  for (size_t i = 0; i < files.size(); ++i) {
    files_[i].first = plan.files[i].first;
    for (const FileGeneration& generation : plan.files[i].generations) {
      files_[i].begins.push_back(generation.begin);
    }
  }
  for (const auto& [number, group] : requests_by_seed(files, plan)) {
    IndexSettings seeded = settings;
    seeded.seed += plan.blocks == 1 ? static_cast<uint32_t>(number) : block_seed;
    std::vector<SampleIndex> indices = make_indices(seeded, group.requests);
    for (size_t i = 0; i < indices.size(); ++i) {
      files_[group.files[i]].indices.push_back(std::move(indices[i]));
    }
  }
  settings.seed += block_seed;
  std::vector<CorpusOrderRequest> requests;
  for (const auto& [label, members] : files_by_corpus(files)) {
    CorpusOrderRequest& request = requests.emplace_back();
    request.label = label;
    std::vector<int64_t>& corpus_files = corpora_.emplace_back().files;
    for (const int64_t file : members) {
      const auto at = static_cast<size_t>(file);
      const auto size = static_cast<size_t>(files[at].member) + 1;
      request.members.resize(size);  // members before it that are not opened give nothing
      request.listed_prefixes.resize(size);
      corpus_files.resize(size, -1);
      request.members.back() = {plan.files[at].samples, plan.files[at].available()};
      request.listed_prefixes.back() = files[at].listed_prefix;
      corpus_files.back() = file;
    }
  }
  const bool alone = files.one_prefix;
  const CorpusShuffling shuffling{.blend = config.data.blend_sample_in_corpus && !alone,
                                  .shuffle = config.data.shuffle_sample_in_corpus && !alone,
                                  .seed = settings.seed};
  std::vector<CorpusOrder> orders = make_corpus_orders(requests, shuffling, settings);
  for (size_t i = 0; i < orders.size(); ++i) corpora_[i].order = std::move(orders[i]);
}

void SampleOrder::forget_pages(int64_t file) const {
  for (const SampleIndex& index : files_[static_cast<size_t>(file)].indices) index.forget_pages();
  for (const Corpus& corpus : corpora_) corpus.order.forget_pages();
}

GreedyBlend::Choice SampleOrder::choose() {
  ++taken_;
  for (;;) {
    const GreedyBlend::Choice choice = blend_.next();
    // The reference ends with an index error where its rule asks a corpus without samples for one.
    if (corpora_[static_cast<size_t>(choice.source)].order.sample_count() > 0) return choice;
  }
}

SampleOrder::Sample SampleOrder::next() {
  const auto [source, number] = choose();
  const Corpus& corpus = corpora_[static_cast<size_t>(source)];
  const auto sample = corpus.order.at(number % corpus.order.sample_count());
  const auto members = static_cast<int64_t>(corpus.files.size());
  if (sample.member < 0 || sample.member >= members) refuse_cached_index();
  const int64_t file = corpus.files[static_cast<size_t>(sample.member)];
  if (file < 0) refuse_cached_index();
  return {file, sample.number};
}

void SampleOrder::skip(int64_t samples) {
  for (int64_t i = 0; i < samples; ++i) choose();
}

}  // namespace borealis
