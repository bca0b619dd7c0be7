#include <fmt/format.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fault_text.h"
#include "data/data_file_list.h"
#include "data/split_plan.h"

namespace borealis {

namespace {

// What is wrong with a file of a list is told with its line.
IndexedDataset open_listed(const DataConfig& data, const DataFileEntry& entry) {
  if (entry.line == 0) return IndexedDataset(entry.prefix);
  try {
    return IndexedDataset(entry.prefix);
  } catch (const Error& error) {
    throw Error(error.kind(),
                fmt::format("{}:{}: {}", data.source(), entry.line, fault_text(error)));
  }
}

}  // namespace

std::shared_ptr<const OpenedFiles> open_data_files(const RunConfig& config) {
  const std::vector<DataFileEntry> entries = data_file_entries(config.data);
  std::set<std::string> with_samples;
  for (const DataFileEntry& entry : entries) {
    if (entry.weight > 0) with_samples.insert(entry.corpus);
  }
  auto opened = std::make_shared<OpenedFiles>();
  opened->one_prefix = config.data.is_one_prefix();
  std::set<std::string> without_samples;
  std::map<std::string, int64_t> members;
  for (const DataFileEntry& entry : entries) {
    if (!with_samples.contains(entry.corpus)) without_samples.insert(entry.corpus);
    const bool can_be_drawn =
        config.data.blend_sample_in_corpus && with_samples.contains(entry.corpus);
    const int64_t member = members[entry.corpus]++;
    if (entry.weight == 0 && !can_be_drawn) continue;
    opened->files.push_back(
        {entry.weight, entry.corpus, entry.listed_prefix, member, open_listed(config.data, entry)});
  }
  opened->corpora_without_samples.assign(without_samples.begin(), without_samples.end());
  return opened;
}

}  // namespace borealis
