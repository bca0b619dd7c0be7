// The output of a tokenization: one .bin/.idx pair with its record, or several (shards) and the
// data list that names them. Keeps the journal, so that a killed run goes on where it was.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/data_record.h"
#include "data/indexed_dataset_writer.h"
#include "data/tokenize_journal.h"
#include "tokenizer/documents.h"

namespace borealis {

struct ShardedOutputOptions {
  std::filesystem::path prefix;
  int64_t shard_tokens = 0;  // most tokens of a shard, unless a document has more; 0: one pair
  std::string corpus;        // label in the data list
  bool start_over = false;
  bool overwrite = false;  // files that are there already
  DataRecord record;       // what all shards have in common
};

class ShardedOutput {
 public:
  // Goes on from an earlier run of the same `request`; of its shards and spool those that were
  // damaged meanwhile, and what follows them, are made again, with a warning. Throws what
  // TokenizeJournal throws, Error(kConfig) for a prefix or label that a data list cannot hold, and
  // Error(kUsage) for files under the final names that no unfinished run made, without `overwrite`.
  ShardedOutput(ShardedOutputOptions options, const DocumentFiles& files, nlohmann::json request);

  bool resumed() const { return journal_.resumed(); }
  const TokenizeProgress& progress() const { return progress_; }
  // Documents of which nothing is left (no ids) are counted and left out. `end`: of its text.
  void add_document(std::span<const int32_t> ids, const TextPosition& end);
  void pass(const TextPosition& end);  // there is no document before it
  void count(const BadRecordCounts& bad) { progress_.counts.bad_records.add(bad); }
  void checkpoint();  // from here a killed run goes on
  bool keeps_progress() const { return journal_.keeps_progress(); }
  // Completes the last shard, writes the data list and removes the journal.
  void finish();

  std::vector<std::filesystem::path> prefixes() const;  // of the complete pairs
  std::filesystem::path list_path() const;

 private:
  std::filesystem::path shard_prefix(size_t shard) const;
  DatasetSpool spool() const;
  DataRecord record_of(const ShardSummary& shard) const;
  void go_on();
  void return_to(size_t shard, const std::string& damage);
  void close_shard();
  void shard_closed();
  void write_list() const;
  void warn_of_older_shards() const;

  ShardedOutputOptions options_;
  const DocumentFiles& files_;
  TokenizeJournal journal_;
  TokenizeProgress progress_;
  std::unique_ptr<IndexedDatasetWriter> writer_;  // of the open shard; nullptr: it is empty
};

}  // namespace borealis
