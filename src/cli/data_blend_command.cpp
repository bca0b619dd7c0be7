#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/json_excerpt.h"
#include "base/log.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/data_run_options.h"
#include "data/blend_description.h"
#include "data/brief_check.h"
#include "data/data_record_check.h"
#include "data/split_bounds.h"

namespace borealis {
namespace {

using Json = nlohmann::ordered_json;

const DataRunCommand kBlendCommand{
    .name = "blend",
    .summary =
        "Prints what a data list yields to a run: for every corpus and file of each split its\n"
        "documents and tokens, the samples asked of it, its share, and the tokens and epochs\n"
        "(passes over its tokens) that the run reads. Builds nothing.",
    .own_help =
        "  --split NAME          train, valid or test alone (default: all)\n"
        "  --json                one JSON document\n",
    .flags = {"--split", "--world-size"}};

Json yield_json(const Yield& yield) {
  return {{"documents", yield.documents},     {"tokens", yield.tokens},
          {"samples", yield.samples},         {"share", yield.share},
          {"used_tokens", yield.used_tokens}, {"epochs", yield.epochs}};
}

Json split_json(const SplitYield& split) {
  Json corpora = Json::array();
  for (const CorpusYield& corpus : split.corpora) {
    corpora.push_back({{"corpus", corpus.label}, {"files", corpus.files}});
    corpora.back().update(yield_json(corpus.yield));
  }
  Json files = Json::array();
  for (const FileYield& file : split.files) {
    files.push_back({{"prefix", file.prefix},
                     {"corpus", file.corpus},
                     {"weight", file.weight},
                     {"index_epochs", file.index_epochs},
                     {"separate_last_epoch", file.separate_last_epoch}});
    files.back().update(yield_json(file.yield));
  }
  Json json = {{"run_samples", split.run_samples},
               {"index_blocks", split.index_blocks},
               {"index_bytes", split.index_bytes}};
  json.update(yield_json(split.total));
  json["corpora"] = corpora;
  json["files"] = files;
  return json;
}

void print_json(const RunConfig& config, const std::vector<SplitYield>& splits) {
  Json json = {{"data_file_list", config.data.data_file_list},
               {"data_path", config.data.data_path},
               {"seq_length", config.batch.seq_length},
               {"global_batch_size", config.batch.global_batch_size},
               {"train_iters", config.limits.train_iters},
               {"split", config.data.split},
               {"seed", config.seed}};
  Json by_name = Json::object();
  for (const SplitYield& split : splits)
    by_name[split_option_name(split.split)] = split_json(split);
  json["splits"] = by_name;
  fmt::print("{}\n", json_text(json, 2));
}

void print_row(size_t width, const std::string& name, const std::string& weight,
               const Yield& yield) {
  fmt::print("  {:<{}}  {:>10}  {:>11}  {:>15}  {:>13}  {:>7.3f}%  {:>17}  {:>9.4g}\n", name, width,
             weight, format_count(yield.documents), format_count(yield.tokens),
             format_count(yield.samples), 100 * yield.share,
             format_count(static_cast<int64_t>(yield.used_tokens + 0.5)), yield.epochs);
}

void print_split(const RunConfig& config, const SplitYield& split) {
  fmt::print("\n{}: {} samples of {} tokens = {} tokens\n", split_name(split.split),
             format_count(split.run_samples), config.batch.seq_length,
             format_count(split.run_samples * config.batch.seq_length));
  size_t width = 5;
  for (const CorpusYield& corpus : split.corpora) width = std::max(width, corpus.label.size());
  for (const FileYield& file : split.files) width = std::max(width, file.prefix.size() + 2);
  fmt::print("  {:<{}}  {:>10}  {:>11}  {:>15}  {:>13}  {:>8}  {:>17}  {:>9}\n", "corpus", width,
             "weight", "documents", "tokens", "samples", "share", "tokens read", "epochs");
  for (const CorpusYield& corpus : split.corpora) {
    print_row(width, corpus.label, "", corpus.yield);
    for (const FileYield& file : split.files) {
      if (file.corpus != corpus.label) continue;
      print_row(width, "  " + file.prefix, fmt::format("{:.6g}", file.weight), file.yield);
    }
  }
  print_row(width, "total", "", split.total);
  if (split.index_blocks > 1) {
    fmt::print("  the sample index is built in {} blocks of {}\n", split.index_blocks,
               format_bytes(split.index_bytes));
  } else {
    fmt::print("  sample index: {}\n", format_bytes(split.index_bytes));
  }
}

// Looking is allowed; training will refuse.
void warn_of_other_tokenizers(const RunConfig& config) {
  try {
    check_data_records(config);
  } catch (const Error& error) {
    log_warning(fault_text(error));
  }
}

}  // namespace

int run_data_blend_command(const std::vector<std::string>& arguments) {
  const auto options = read_data_run_options(arguments, kBlendCommand);
  if (!options) return 0;
  warn_of_damaged_files(options->config);  // opens them all: what is wrong there is an error
  warn_of_other_tokenizers(options->config);
  std::vector<SplitYield> splits = describe_blend(options->config);
  if (!options->splits.empty()) {
    std::erase_if(splits, [&](const SplitYield& s) { return s.split != options->splits.front(); });
  }
  if (options->config.output.json) {
    print_json(options->config, splits);
    return 0;
  }
  fmt::print("{}\n", options->config.data.source());
  for (const SplitYield& split : splits) print_split(options->config, split);
  return 0;
}

}  // namespace borealis
