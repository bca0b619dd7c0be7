// Whether two hosts read the same data.
#pragma once

#include <string>

#include "config/run_config.h"

namespace borealis {

// Checksum over the sizes, beginnings and ends of all files of the data list in its order: a few
// reads a file, however large it is. Empty for random tokens. Throws Error(kFile), and what
// describe_data would.
std::string data_fingerprint(const RunConfig& config);

}  // namespace borealis
