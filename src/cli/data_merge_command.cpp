#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "base/json_excerpt.h"
#include "base/log.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/dataset_prefix.h"
#include "cli/parse_arguments.h"
#include "cli/work_progress.h"
#include "data/data_record.h"
#include "data/dataset_merge.h"

namespace borealis {
namespace {

struct MergeArguments {
  std::vector<std::string> prefixes;
  std::string output_prefix;
  bool without_record = false;
  bool overwrite = false;
  bool json = false;
};

void report(const MergeArguments& arguments, size_t pairs, const MergedDataset& merged) {
  if (arguments.json) {
    const nlohmann::ordered_json json = {{"output_prefix", arguments.output_prefix},
                                         {"pairs", pairs},
                                         {"documents", merged.documents},
                                         {"sequences", merged.sequences},
                                         {"tokens", merged.tokens},
                                         {"dtype", token_type_name(merged.type)},
                                         {"record", merged.has_record}};
    fmt::print("{}\n", json_text(json, 2));
    return;
  }
  log_info(fmt::format("{0}.bin, {0}.idx: {1} documents, {2} tokens ({3}) from {4} pairs",
                       arguments.output_prefix, format_count(merged.documents),
                       format_count(merged.tokens), token_type_name(merged.type), pairs));
}

int merge(const MergeArguments& arguments) {
  log_open(arguments.json ? LogStream::kStderr : LogStream::kStdout, "INFO");
  const auto prefixes = dataset_prefixes(arguments.prefixes);
  const std::filesystem::path folder = std::filesystem::path(arguments.output_prefix).parent_path();
  remove_stale_partials(folder.empty() ? "." : folder);  // of a merge that was stopped
  MergedDataset merged;
  {
    WorkProgress progress("merging");
    merged =
        merge_datasets(prefixes,
                       {.output_prefix = arguments.output_prefix,
                        .without_record = arguments.without_record,
                        .overwrite = arguments.overwrite},
                       [&](int64_t done, int64_t total) { progress.update(done, total, done); });
  }
  if (!merged.has_record) {
    log_warning(fmt::format("{} is not written: nothing records the tokenizer of the merged data",
                            data_record_path(arguments.output_prefix).string()));
  }
  report(arguments, prefixes.size(), merged);
  return 0;
}

}  // namespace

int run_data_merge_command(const std::vector<std::string>& arguments) {
  CLI::App app("Puts the documents of several .bin/.idx pairs into one, in the order given.",
               "borealis data merge");
  MergeArguments parsed;
  app.add_option("PREFIX", parsed.prefixes,
                 "pairs, with or without .bin or .idx; quoted patterns ('data/mine-*.idx') are "
                 "expanded, sorted")
      ->required();
  app.add_option("--output-prefix", parsed.output_prefix,
                 "writes <prefix>.bin, <prefix>.idx and, if all pairs have one, <prefix>.meta.json")
      ->required();
  app.add_flag("--without-record", parsed.without_record,
               "do not compare tokenizers and write no <prefix>.meta.json");
  app.add_flag("--overwrite", parsed.overwrite, "replace a pair that is there already");
  app.add_flag("--json", parsed.json, "print one JSON document about what was done");
  return parse_arguments(app, arguments) ? merge(parsed) : 0;
}

}  // namespace borealis
