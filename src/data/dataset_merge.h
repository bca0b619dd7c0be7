// Several .bin/.idx pairs as one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "data/indexed_dataset.h"

namespace borealis {

struct MergeOptions {
  std::filesystem::path output_prefix;
  bool without_record = false;  // merge pairs with and without a record; the result has none
  bool overwrite = false;       // a pair that is there already
};

struct MergedDataset {
  int64_t documents = 0;
  int64_t sequences = 0;
  int64_t tokens = 0;
  TokenType type = TokenType::kU16;
  bool has_record = false;
};

// Documents and sequences of the pairs in the given order, copied as they are. The pair appears
// only when it is whole. Throws Error(kUsage) if it is there already, without `overwrite`,
// Error(kConfig) naming two pairs that do not go together: other dtypes, other tokenizers, or only
// one with a record; DatasetError for a damaged pair, whose documents would look sound in another;
// and what opening, reading and writing throw. Progress in bytes.
MergedDataset merge_datasets(const std::vector<std::filesystem::path>& prefixes,
                             const MergeOptions& options,
                             const std::function<void(int64_t, int64_t)>& progress);

}  // namespace borealis
