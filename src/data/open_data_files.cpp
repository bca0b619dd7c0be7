#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
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

// What tells a file from another one, and from what it was before.
struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  int64_t changed_ns = 0;
  bool operator==(const FileIdentity&) const = default;
};

int64_t ns_of(const timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; }

int64_t ns_now() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return ns_of(now);
}

// Of the files behind these prefixes; none where one cannot be examined.
std::optional<std::vector<FileIdentity>> identities_of(const std::vector<std::string>& prefixes) {
  std::vector<FileIdentity> identities;
  for (const std::string& prefix : prefixes) {
    for (const char* suffix : {".idx", ".bin"}) {
      struct stat status {};
      if (::stat((prefix + suffix).c_str(), &status) != 0) return std::nullopt;
      identities.push_back({status.st_dev, status.st_ino, status.st_size,
                            std::max(ns_of(status.st_mtim), ns_of(status.st_ctim))});
    }
  }
  return identities;
}

// What was opened last.
struct LastOpened {
  std::vector<DataFileEntry> entries;
  std::string source;
  bool one_prefix = false;
  bool blend_in_corpus = false;
  std::vector<std::string> prefixes;
  std::vector<FileIdentity> identities;
  std::shared_ptr<const OpenedFiles> files;

  bool is_of(const DataConfig& data, const std::vector<DataFileEntry>& listed) const {
    return files && source == data.source() && one_prefix == data.is_one_prefix() &&
           blend_in_corpus == data.blend_sample_in_corpus && entries == listed &&
           identities_of(prefixes) == identities;
  }
};

// A file that is written again within the step of the file system's clock looks as before: what is
// that young is not kept.
bool is_settled(const std::vector<FileIdentity>& identities, int64_t opened_ns) {
  constexpr int64_t kYoungNs = 2'000'000'000;
  return std::ranges::all_of(identities, [&](const FileIdentity& identity) {
    return identity.changed_ns < opened_ns - kYoungNs;
  });
}

std::shared_ptr<const OpenedFiles> open_entries(const DataConfig& data,
                                                const std::vector<DataFileEntry>& entries) {
  std::set<std::string> with_samples;
  for (const DataFileEntry& entry : entries) {
    if (entry.weight > 0) with_samples.insert(entry.corpus);
  }
  auto opened = std::make_shared<OpenedFiles>();
  opened->one_prefix = data.is_one_prefix();
  std::set<std::string> without_samples;
  std::map<std::string, int64_t> members;
  for (const DataFileEntry& entry : entries) {
    if (!with_samples.contains(entry.corpus)) without_samples.insert(entry.corpus);
    const bool can_be_drawn = data.blend_sample_in_corpus && with_samples.contains(entry.corpus);
    const int64_t member = members[entry.corpus]++;
    if (entry.weight == 0 && !can_be_drawn) continue;
    opened->files.push_back(
        {entry.weight, entry.corpus, entry.listed_prefix, member, open_listed(data, entry)});
  }
  opened->corpora_without_samples.assign(without_samples.begin(), without_samples.end());
  return opened;
}

}  // namespace

std::shared_ptr<const OpenedFiles> open_data_files(const RunConfig& config) {
  static std::mutex mutex;
  static LastOpened last;
  const std::vector<DataFileEntry> entries = data_file_entries(config.data);
  const std::lock_guard lock(mutex);
  if (last.is_of(config.data, entries)) return last.files;
  last = {};
  const int64_t opened_ns = ns_now();
  auto files = open_entries(config.data, entries);
  std::vector<std::string> prefixes;
  for (const OpenedFile& file : *files) prefixes.push_back(file.data.prefix());
  const auto identities = identities_of(prefixes);
  if (identities && is_settled(*identities, opened_ns)) {
    last = {.entries = entries,
            .source = config.data.source(),
            .one_prefix = config.data.is_one_prefix(),
            .blend_in_corpus = config.data.blend_sample_in_corpus,
            .prefixes = std::move(prefixes),
            .identities = *identities,
            .files = files};
  }
  return files;
}

}  // namespace borealis
