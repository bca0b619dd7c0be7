// Ranks that are threads of one process: for tests of what ranks do together, without a launcher.
#pragma once

#include <cstdint>
#include <functional>

#include "comm/communicator.h"

namespace borealis {

// Runs `rank_main` once for each of `ranks` ranks at the same time. What a rank throws ends the
// waiting of the others with Error(kRanks), and is thrown on when all have ended; of several, that
// of the rank that threw first. abort() does as much.
void run_in_process(int64_t ranks, const std::function<void(Communicator&)>& rank_main,
                    RankTimeLimit limit = {});

}  // namespace borealis
