// What lets a tokenization that was killed go on: a folder <prefix>.tokenizing with
//   request.json    what was asked for: tokenizer, options, input files with sizes and times
//   progress.json   how far it is, replaced as a whole after the spool is on the disk
//   tokens, lengths the spool of the shard in progress (indexed_dataset_writer.h)
// It is removed when all is done, and on an error before anything was saved in it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/folder_lock.h"
#include "tokenizer/documents.h"

namespace borealis {

struct ShardSummary {
  int64_t documents = 0;
  int64_t tokens = 0;
  TextPosition first;  // where its first document starts
  TextPosition end;    // behind its last
};

struct TokenizeProgress {
  TextPosition position;  // of the next document
  int64_t empty_documents = 0;
  BadRecordCounts bad_records;
  int64_t text_bytes = 0;
  std::vector<ShardSummary> shards;  // complete, under their final names
  ShardSummary open;                 // in the spool
  bool closing = false;              // `open` is whole and being given its final names
};

class TokenizeJournal {
 public:
  // Takes the folder for this process. Where an earlier run left progress for the same request,
  // progress() is that; with `start_over` it is thrown away. Throws Error(kConfig) naming what
  // differs from the earlier request, Error(kFile) if another process works on the same output.
  TokenizeJournal(const std::filesystem::path& output_prefix, const nlohmann::json& request,
                  bool start_over);
  ~TokenizeJournal();
  TokenizeJournal(const TokenizeJournal&) = delete;
  TokenizeJournal& operator=(const TokenizeJournal&) = delete;

  const std::filesystem::path& folder() const { return folder_; }
  const TokenizeProgress& earlier() const { return earlier_; }
  bool resumed() const { return resumed_; }
  bool keeps_progress() const { return worth_keeping_; }  // of this run or an earlier one
  void save(const TokenizeProgress& progress);
  void remove();

 private:
  void read_earlier(const nlohmann::json& request);

  std::filesystem::path folder_;
  std::unique_ptr<FolderLock> lock_;
  TokenizeProgress earlier_;
  bool resumed_ = false;
  bool worth_keeping_ = false;
};

std::filesystem::path tokenize_journal_folder(const std::filesystem::path& output_prefix);

}  // namespace borealis
