// Cuts the sequences of a file into training, validation and test part (contract section 7.5).
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "config/split_shares.h"
#include "data/batch.h"

namespace borealis {

// parse_split_shares (config/split_shares.h) that throws Error(kConfig).
SplitShares parse_split(const std::string& text);

// Part j holds the sequences [bounds[j], bounds[j+1]). Shares are rounded half to even one by one,
// then shifted so that the last bound is `count`: small counts can leave parts empty.
std::array<int64_t, 4> split_bounds(const SplitShares& shares, int64_t count);

const char* split_name(Split split);      // "training", "validation", "test"
const char* split_variable(Split split);  // "TRAIN_SPLIT", ...

}  // namespace borealis
