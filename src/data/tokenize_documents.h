// Text to a Megatron data set: every document is encoded on some thread and written in order, so
// that the files are the same for any number of threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/indexed_dataset.h"
#include "tokenizer/documents.h"
#include "tokenizer/tokenizer.h"

namespace borealis {

struct TokenizeOptions {
  std::filesystem::path output_prefix;
  std::string tokenizer_path;  // for the record
  bool append_end = true;      // the end-of-text token, which counts towards the document's length
  int threads = 1;
  int64_t shard_tokens = 0;        // most tokens of a pair, unless a document has more; 0: one pair
  std::string corpus;              // label of the shards in their data list
  double checkpoint_seconds = 10;  // between two places from which a killed run can go on
  bool start_over = false;         // even if an earlier run left something
  bool overwrite = false;          // files under the final names, if there are any
  std::string program;             // for the record
};

struct TokenizedCorpus {
  int64_t documents = 0;
  int64_t empty_documents = 0;  // encode to nothing; left out
  BadRecordCounts bad_records;  // of earlier runs, too
  int64_t tokens = 0;
  int64_t text_bytes = 0;          // unpacked
  int64_t earlier_text_bytes = 0;  // of them, those of an earlier run
  int64_t vocab_size = 0;
  TokenType type = TokenType::kU16;
  std::optional<int32_t> end_token;             // that was appended
  bool complete = true;                         // false: stopped
  std::vector<std::filesystem::path> prefixes;  // of the pairs
  std::optional<std::filesystem::path> list;    // data list of the shards
};

struct TokenizeHooks {
  // Bytes of the files as stored, done and in all, and bytes of text that this run has done.
  std::function<void(int64_t done, int64_t total, int64_t text_bytes)> progress;
  std::function<bool()> should_stop;  // asked between chunks
};

// Documents get the special tokens that the tokenizer's own file puts around a text, and the end
// token unless it is the last of those. Pairs appear only when they are whole. A run that was
// stopped or killed is gone on with by the same call: the result has the same bytes. Throws
// Error(kConfig) if append_end is wanted of a tokenizer without an end-of-text token or the earlier
// run was another one, Error(kUsage) if the output exists and overwrite is not given, and whatever
// reading, encoding and writing throw.
TokenizedCorpus tokenize_documents(const DocumentFiles& files, const Tokenizer& tokenizer,
                                   const TokenizeOptions& options, const TokenizeHooks& hooks = {});

}  // namespace borealis
