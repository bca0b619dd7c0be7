// What lets a tokenization that was killed go on: a folder <prefix>.tokenizing with
//   request.json    what was asked for: tokenizer, options, input files with sizes and times
//   progress.json   how far it is, replaced as a whole after the spool is on the disk
//   tokens, lengths the spool of the shard in progress (indexed_dataset_writer.h)
// It is removed when all is done, and on an error before anything was saved in it. Both .json files
// carry a checksum of their own; progress.json has those of the spool and of the finished shards.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/folder_lock.h"
#include "tokenizer/documents.h"

namespace borealis {

// Of the input up to a place.
struct InputCounts {
  int64_t empty_documents = 0;
  int64_t text_bytes = 0;
  BadRecordCounts bad_records;
};

// Of the files of a pair, or of its spool, by XXH3 (base/checksum.h).
struct PairChecksums {
  std::string tokens;
  std::string index;   // of a spool: of the lengths
  std::string record;  // of a spool: empty
  bool operator==(const PairChecksums&) const = default;
};

struct ShardSummary {
  int64_t documents = 0;
  int64_t tokens = 0;
  TextPosition first;  // where its first document starts
  TextPosition end;    // behind its last
  InputCounts before;  // up to `first`
  PairChecksums checksums;
};

struct TokenizeProgress {
  TextPosition position;  // of the next document
  InputCounts counts;
  std::vector<ShardSummary> shards;  // complete, under their final names
  ShardSummary open;                 // in the spool
  bool closing = false;              // `open` is whole and being given its final names

  // As it was before the first document of the shard, and of all that follow.
  void return_to(size_t shard);
};

class TokenizeJournal {
 public:
  // Takes the folder for this process. Where an earlier run left progress for the same request,
  // progress() is that; with `start_over` it is thrown away, and so is, with a warning, what was
  // damaged meanwhile. Throws Error(kConfig) naming what differs from the earlier request,
  // Error(kFile) if another process works on the same output.
  TokenizeJournal(const std::filesystem::path& output_prefix, const nlohmann::json& request,
                  bool start_over);
  ~TokenizeJournal();
  TokenizeJournal(const TokenizeJournal&) = delete;
  TokenizeJournal& operator=(const TokenizeJournal&) = delete;

  const std::filesystem::path& folder() const { return folder_; }
  const TokenizeProgress& earlier() const { return earlier_; }
  bool resumed() const { return resumed_; }
  // An unfinished run of this request was here, so shards under their final names are its own.
  bool same_request() const { return same_request_; }
  bool keeps_progress() const { return worth_keeping_; }  // of this run or an earlier one
  void save(const TokenizeProgress& progress);
  void remove();

 private:
  // Whether there is something to go on from.
  bool read_earlier(const nlohmann::json& request);

  std::filesystem::path folder_;
  std::unique_ptr<FolderLock> lock_;
  TokenizeProgress earlier_;
  bool resumed_ = false;
  bool same_request_ = false;
  bool worth_keeping_ = false;
};

std::filesystem::path tokenize_journal_folder(const std::filesystem::path& output_prefix);

}  // namespace borealis
