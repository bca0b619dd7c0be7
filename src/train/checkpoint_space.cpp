#include "train/checkpoint_space.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/rounding.h"
#include "base/units.h"

namespace borealis {

CheckpointSpace checkpoint_space(const RunConfig& config, int64_t parameters, int64_t iteration,
                                 int64_t there) {
  constexpr int64_t kStateBytes = 3 * sizeof(float);  // master weight and two moments
  CheckpointSpace space;
  space.bytes_each = parameters * (static_cast<int64_t>(dtype_bytes(config.dtype)) + kStateBytes);
  const int64_t steps = config.limits.train_iters - iteration;
  if (!config.output.save_checkpoints || steps <= 0) return space;
  const int64_t interval = config.limits.save_interval > 0 ? config.limits.save_interval : steps;
  const int64_t saved = divide_up(steps, interval);
  space.most = saved;
  if (const int64_t last = config.checkpoint.keep_last; last > 0) {
    const int64_t every = config.checkpoint.keep_every;
    const int64_t kept = last + 1 + (every > 0 ? steps / every : 0);
    space.most = std::clamp<int64_t>(kept - std::min(there, last), 1, saved);
  }
  return space;
}

std::string check_space(const CheckpointSpace& space, int64_t free_bytes,
                        const std::string& folder) {
  if (space.most == 0 || space.bytes_each == 0) return "";
  const int64_t fitting = free_bytes / space.bytes_each;
  if (fitting >= space.most) return "";
  if (fitting == 0) {
    throw Error(ErrorKind::kFile,
                fmt::format("a checkpoint takes {}, and {} has {} free",
                            format_bytes(space.bytes_each), folder, format_bytes(free_bytes)),
                "free some, save elsewhere (SAVE=...), or save nothing (--no-save)");
  }
  return fmt::format(
      "{} has room for {} of the {} checkpoints that this run adds at a time ({} each, {} free): "
      "the disk will be full before it ends; keep fewer (--keep-last, SAVE_INTERVAL)",
      folder, fitting, space.most, format_bytes(space.bytes_each), format_bytes(free_bytes));
}

}  // namespace borealis
