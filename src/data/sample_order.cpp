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

std::vector<SampleIndex> make_indices(const IndexSettings& settings, const OpenedFiles& files,
                                      const SplitPlan& plan) {
  std::vector<FileIndexRequest> requests;
  for (size_t i = 0; i < files.size(); ++i) {
    requests.push_back({.data = &files[i].data,
                        .listed_prefix = files[i].listed_prefix,
                        .range = plan.files[i].range,
                        .requested = plan.files[i].samples});
  }
  if (!settings.folder.empty()) return cached_sample_indices(requests, settings);
  std::vector<SampleIndex> indices;
  for (const FileIndexRequest& request : requests) {
    indices.emplace_back(request.data->lengths(), request.range, settings.seq_length,
                         request.requested, settings.seed);
  }
  return indices;
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
                         .seed = static_cast<uint32_t>(config.seed + static_cast<uint64_t>(block)),
                         .split_text = config.data.split};
  indices_ = make_indices(settings, files, plan);
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
      request.members.back() = {plan.files[at].samples, indices_[at].sample_count()};
      request.listed_prefixes.back() = files[at].listed_prefix;
      corpus_files.back() = file;
    }
  }
  const CorpusShuffling shuffling{.blend = config.data.blend_sample_in_corpus,
                                  .shuffle = config.data.shuffle_sample_in_corpus,
                                  .seed = settings.seed};
  std::vector<CorpusOrder> orders = make_corpus_orders(requests, shuffling, settings);
  for (size_t i = 0; i < orders.size(); ++i) corpora_[i].order = std::move(orders[i]);
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
