// Reads every byte of a .bin/.idx pair and tells all that is wrong with it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/data_record.h"
#include "data/dataset_fault.h"
#include "data/indexed_dataset.h"

namespace borealis {

struct DatasetProblem {
  DatasetFault fault = DatasetFault::kBadMagic;
  std::string text;
};

struct DatasetCheck {
  bool readable = false;  // false: the index is so wrong that the counts below are not known
  int64_t documents = 0;
  int64_t sequences = 0;
  int64_t tokens = 0;
  TokenType type = TokenType::kU16;
  int64_t highest_id = -1;
  std::optional<int64_t> vocab_size;  // that ids were held against
  std::optional<DataRecord> record;
  std::vector<DatasetProblem> problems;  // those of one kind end after kProblemsOfAKind
  int64_t further_problems = 0;          // beyond those
};

inline constexpr size_t kProblemsOfAKind = 5;

// What the index, the size of .bin and the record tell, without a look at the tokens; up to
// kProblemsOfAKind of each kind.
std::vector<DatasetProblem> check_arithmetic(const IndexedDataset& data,
                                             const std::optional<DataRecord>& record);

// Ids are held against `vocab_size`, else against the vocabulary in the record, else against
// nothing but the format. Uses the OpenMP threads. Progress in bytes of .bin, on any one thread at
// a time. Throws Error(kFile) if a file is missing or unreadable.
DatasetCheck check_dataset(const std::filesystem::path& prefix, std::optional<int64_t> vocab_size,
                           const std::function<void(int64_t, int64_t)>& progress);

}  // namespace borealis
