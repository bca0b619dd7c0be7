// Cuts the sequences of a file into training, validation and test part (contract section 7.5).
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "data/batch.h"

namespace borealis {

using SplitShares = std::array<int64_t, 3>;  // of train, valid, test; any sum

// "990,10,0": three whole numbers, blanks allowed. Throws Error(kConfig).
SplitShares parse_split(const std::string& text);

// Part j holds the sequences [bounds[j], bounds[j+1]). Shares are rounded half to even one by one,
// then shifted so that the last bound is `count`: small counts can leave parts empty.
std::array<int64_t, 4> split_bounds(const SplitShares& shares, int64_t count);

const char* split_name(Split split);      // "training", "validation", "test"
const char* split_variable(Split split);  // "TRAIN_SPLIT", ...

}  // namespace borealis
