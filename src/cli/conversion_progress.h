// What is told of tensors while they are converted.
#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <span>

#include "base/log.h"
#include "checkpoint/safetensors_writer.h"
#include "checkpoint/tensor_difference.h"
#include "cli/work_progress.h"

namespace borealis {

// Makes the sources report the bytes that they produce. `progress` must outlive their use.
inline void report_progress(std::span<TensorSource> sources, WorkProgress& progress) {
  struct Count {
    int64_t done = 0, total = 0;
  };
  const auto count = std::make_shared<Count>();
  for (TensorSource& source : sources) {
    count->total += source.size_bytes();
    source.produce = [inner = std::move(source.produce), count, &progress](const ByteSink& sink) {
      inner([&](std::span<const std::byte> bytes) {
        sink(bytes);
        count->done += static_cast<int64_t>(bytes.size());
        progress.update(count->done, count->total, count->done);
      });
    };
  }
}

inline void warn_of_non_finite(const NonFiniteCount& count, const std::filesystem::path& folder) {
  if (count.nan + count.infinite == 0) return;
  log_warning(fmt::format(
      "{} holds {} NaN and {} infinities, and no loss comes of such weights; `borealis checkpoint "
      "verify` names their tensors",
      folder.string(), count.nan, count.infinite));
}

}  // namespace borealis
