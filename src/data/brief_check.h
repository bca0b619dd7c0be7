// What `data verify` would say of a pair, as far as it costs little: where sequences lie, whether
// the record is the pair's, and the ids of a few places.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "config/run_config.h"
#include "data/data_record.h"
#include "data/dataset_check.h"
#include "data/indexed_dataset.h"

namespace borealis {

inline constexpr int64_t kBriefPlaces = 64;

// Reads the index, and up to 4096 tokens of each of `places` sequences that are spread over the
// pair. Ids are held against `vocab_size` and the record's vocabulary, as far as they are known.
// Bytes behind the last sequence are left to whoever opens the pair, who warns of them.
std::vector<DatasetProblem> brief_check(const IndexedDataset& data,
                                        const std::optional<DataRecord>& record,
                                        std::optional<int64_t> vocab_size = {},
                                        int64_t places = kBriefPlaces);

// A warning for the first problem of each kind, with the number of those that were found.
// vocab_size: the one that ids were held against, where the data has no record of its own.
void warn_of_damage(const IndexedDataset& data, const std::vector<DatasetProblem>& problems,
                    std::optional<int64_t> vocab_size = std::nullopt);

// Both for every file that a run can read, with fewer places of each where files are many. Throws
// what opening them throws.
void warn_of_damaged_files(const RunConfig& config);

}  // namespace borealis
