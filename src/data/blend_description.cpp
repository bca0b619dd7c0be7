#include "data/blend_description.h"

#include <map>

#include "base/error.h"
#include "data/batch_loader.h"
#include "data/split_plan.h"

namespace borealis {
namespace {

void add(Yield& sum, const Yield& part) {
  sum.documents += part.documents;
  sum.tokens += part.tokens;
  sum.samples += part.samples;
}

// Once `documents`, `tokens` and `samples` are known.
void complete(Yield& yield, int64_t all_samples, double run_tokens) {
  yield.share = static_cast<double>(yield.samples) / static_cast<double>(all_samples);
  yield.used_tokens = yield.share * run_tokens;
  if (yield.tokens > 0) yield.epochs = yield.used_tokens / static_cast<double>(yield.tokens);
}

SplitYield describe(const RunConfig& config, const OpenedFiles& opened, Split split) {
  const SplitPlan plan = plan_split(config, opened, split, requested_samples(config, split));
  SplitYield out;
  out.split = split;
  out.run_samples = plan.requested;
  out.index_blocks = plan.blocks;
  out.index_bytes = plan.index_bytes;
  std::map<std::string, CorpusYield> corpora;
  for (const std::string& label : opened.corpora_without_samples) corpora[label];
  for (size_t i = 0; i < opened.size(); ++i) {
    const FilePlan& file = plan.files[i];
    FileYield& entry = out.files.emplace_back();
    entry.prefix = opened[i].listed_prefix;
    entry.corpus = opened[i].corpus;
    entry.weight = opened[i].weight;
    if (!file.generations.empty()) {
      const auto shape = sample_index_shape(file.range, config.batch.seq_length,
                                            file.generations.front().requested);
      entry.index_epochs = shape.epochs;
      entry.separate_last_epoch = shape.separate_last_epoch;
    }
    entry.yield.documents = file.range.count();
    entry.yield.tokens = file.range.tokens;
    entry.yield.samples = file.samples;
    CorpusYield& corpus = corpora[opened[i].corpus];
    ++corpus.files;
    add(corpus.yield, entry.yield);
    add(out.total, entry.yield);
  }
  const auto run_tokens =
      static_cast<double>(plan.requested) * static_cast<double>(config.batch.seq_length);
  for (auto& [label, corpus] : corpora) {
    corpus.label = label;
    out.corpora.push_back(corpus);
  }
  for (CorpusYield& corpus : out.corpora) complete(corpus.yield, out.total.samples, run_tokens);
  for (FileYield& file : out.files) complete(file.yield, out.total.samples, run_tokens);
  complete(out.total, out.total.samples, run_tokens);
  return out;
}

}  // namespace

std::vector<SplitYield> describe_blend(const RunConfig& config) {
  if (config.data.mock_data) {
    throw Error(ErrorKind::kConfig, "--mock-data is random tokens, not a blend of corpora",
                "give a data list");
  }
  describe_data(config);  // for its checks
  const auto opened = open_data_files(config);
  std::vector<SplitYield> splits;
  for (const Split split : {Split::kTrain, Split::kValid, Split::kTest}) {
    if (requested_samples(config, split) == 0 || !has_documents(config, *opened, split)) continue;
    splits.push_back(describe(config, *opened, split));
  }
  return splits;
}

}  // namespace borealis
