// Writes a Megatron indexed dataset, one sequence a document. Nothing appears under the final names
// before commit(); then .bin comes first, so that an .idx never speaks of data that is not there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "data/indexed_dataset.h"

namespace borealis {

class IndexedDatasetWriter {
 public:
  // Creates the folder of `prefix` if needed. Throws Error(kFile).
  IndexedDatasetWriter(const std::filesystem::path& prefix, TokenType type);

  // Ids must fit the type (CHECK). An empty document becomes an empty sequence.
  void add_document(std::span<const int32_t> tokens);
  void commit();

  int64_t document_count() const { return static_cast<int64_t>(lengths_.size()); }
  int64_t token_count() const { return token_count_; }

 private:
  std::string prefix_;
  TokenType type_;
  AtomicFile tokens_;
  std::vector<int32_t> lengths_;
  std::vector<std::byte> converted_;
  int64_t token_count_ = 0;
};

}  // namespace borealis
