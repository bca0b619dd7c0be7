// What ranks exchange, and when: for profiles.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

namespace borealis {

enum class Exchange { kGradients, kEmbeddingRows, kWeights };

struct ExchangeSpan {
  using Clock = std::chrono::steady_clock;

  Exchange what = Exchange::kGradients;
  // With the waiting for ranks that come later, and for the caller to take what is there.
  Clock::time_point begin, end;
  int64_t received_bytes = 0;  // of other ranks, which is as much as is sent to them
};

using ExchangeObserver = std::function<void(const ExchangeSpan&)>;

}  // namespace borealis
