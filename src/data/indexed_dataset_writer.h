// Writes a Megatron indexed dataset, one sequence a document. Nothing appears under the final names
// before commit(); then .bin comes first, so that an .idx never speaks of data that is not there.
// Until then tokens and lengths are spooled to two files, so that memory does not grow with them
// and a later process can go on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/checksum.h"
#include "base/file.h"
#include "data/indexed_dataset.h"

namespace borealis {

// Where a writer keeps what is not committed yet, beyond its own life, on the file system of the
// final files; and how much of what lies there it goes on from.
struct DatasetSpool {
  std::filesystem::path folder;
  int64_t documents = 0;
  int64_t tokens = 0;
  // Of what lies there, by XXH3 (base/checksum.h); empty: not checked.
  std::string tokens_checksum = {};
  std::string lengths_checksum = {};
};

class IndexedDatasetWriter {
 public:
  // Creates the folder of `prefix` if needed. Throws Error(kFile). Without a spool of the caller's
  // the writer makes files beside the final ones and removes them at its end. Throws Error(kData)
  // naming the file for a spool that is not what its checksums say.
  IndexedDatasetWriter(const std::filesystem::path& prefix, TokenType type);
  IndexedDatasetWriter(const std::filesystem::path& prefix, TokenType type,
                       const DatasetSpool& spool);
  ~IndexedDatasetWriter();
  IndexedDatasetWriter(const IndexedDatasetWriter&) = delete;
  IndexedDatasetWriter& operator=(const IndexedDatasetWriter&) = delete;

  // Ids must fit the type (CHECK). An empty document becomes an empty sequence. Throws Error(kData)
  // for a document of 2^31 tokens or more.
  void add_document(std::span<const int32_t> tokens);
  void sync();  // the spool to the disk
  // `record`: the text for <prefix>.meta.json; empty: none.
  void commit(const std::string& record = "");
  // What is left of a commit() that was interrupted: either a writer on the same spool, for
  // commit() to be called again, or nullptr, because the tokens had their final name already and
  // the rest has been made up for. Throws Error(kData) where neither is as it was written.
  static std::unique_ptr<IndexedDatasetWriter> resume_commit(const std::filesystem::path& prefix,
                                                             TokenType type,
                                                             const DatasetSpool& spool,
                                                             const std::string& record);

  int64_t document_count() const { return documents_; }
  int64_t token_count() const { return token_count_; }
  std::string tokens_checksum() const { return tokens_sum_.hex(); }
  std::string lengths_checksum() const { return lengths_sum_.hex(); }

 private:
  struct SpoolPaths {
    std::filesystem::path tokens;
    std::filesystem::path lengths;
    std::filesystem::path index;   // of commit()
    std::filesystem::path record;  // of commit()
  };
  static SpoolPaths paths_in(const DatasetSpool& spool);
  static SpoolPaths paths_beside(const std::string& prefix);
  static void finish(const std::string& prefix, TokenType type, const SpoolPaths& paths,
                     int64_t documents, AppendFile* tokens, const std::string& record);
  IndexedDatasetWriter(const std::filesystem::path& prefix, TokenType type, const SpoolPaths& paths,
                       bool temporary, const DatasetSpool& earlier);

  std::string prefix_;
  TokenType type_;
  SpoolPaths paths_;
  bool temporary_;
  Checksum tokens_sum_;
  Checksum lengths_sum_;
  AppendFile tokens_;
  AppendFile lengths_;
  std::vector<std::byte> converted_;
  int64_t documents_ = 0;
  int64_t token_count_ = 0;
};

}  // namespace borealis
