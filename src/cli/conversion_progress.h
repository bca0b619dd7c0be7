// Tells how far the writing of converted tensors is.
#pragma once

#include <span>

#include "checkpoint/safetensors_writer.h"
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

}  // namespace borealis
