// What is said of data that cannot be looked at.
#pragma once

#include "data/batch_loader.h"

namespace borealis {

// By arithmetic on the run's samples alone: of every split one file that has just these samples and
// a document for each. Where an index takes more than 4 GiB, it is that of blocks (split_plan.h),
// as of data that is smaller than its index. Knows no documents, tokens, files or corpora.
DataDescription assumed_data(const RunConfig& config);

}  // namespace borealis
