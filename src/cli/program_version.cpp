// Alone in its file, which every commit compiles anew.
#include "cli/program_version.h"

#include <borealis_commit.h>
#include <fmt/format.h>

namespace borealis {

std::string program_version() { return fmt::format("{} ({})", BOREALIS_VERSION, BOREALIS_COMMIT); }

}  // namespace borealis
