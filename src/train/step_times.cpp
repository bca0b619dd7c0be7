#include "train/step_times.h"

#include <algorithm>
#include <functional>
#include <vector>

#include "comm/collectives.h"

namespace borealis {

std::optional<StepTimesOfRanks> step_times_of_ranks(Communicator& ranks, const StepRecord& record) {
  if (ranks.size() == 1) return std::nullopt;
  struct Own {
    double data_ms, forward_ms, backward_ms, optimizer_ms;
    double forward_backward_ms() const { return data_ms + forward_ms + backward_ms; }
    double computing_ms() const { return forward_backward_ms() + optimizer_ms; }
  };
  const Own own{record.data_ms, record.forward_ms, record.backward_ms, record.optimizer_ms};
  std::vector<Own> all = all_values(ranks, own, "comparing the times of a step");
  const auto slowest = std::ranges::max_element(all, {}, &Own::computing_ms);
  const int64_t slowest_rank = slowest - all.begin();
  const auto across = [&all](auto time) {
    std::ranges::sort(all, {}, time);
    const size_t middle = all.size() / 2;
    const double upper = std::invoke(time, all[middle]);
    const double lower = std::invoke(time, all[(all.size() - 1) / 2]);
    return RankTimes{std::invoke(time, all.front()), (lower + upper) / 2,
                     std::invoke(time, all.back())};
  };
  return StepTimesOfRanks{.data = across(&Own::data_ms),
                          .forward = across(&Own::forward_ms),
                          .backward = across(&Own::backward_ms),
                          .optimizer = across(&Own::optimizer_ms),
                          .forward_backward = across(&Own::forward_backward_ms),
                          .computing = across(&Own::computing_ms),
                          .slowest = slowest_rank};
}

}  // namespace borealis
