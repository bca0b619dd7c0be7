#include "checkpoint/damage.h"

#include <fmt/format.h>

#include "base/error.h"

namespace borealis {

void reject_checkpoint(const std::filesystem::path& path, const std::string& problem) {
  throw Error(ErrorKind::kData, fmt::format("{}: {}", path.string(), problem),
              "the checkpoint is damaged; use another one");
}

}  // namespace borealis
