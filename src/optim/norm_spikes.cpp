#include "optim/norm_spikes.h"

#include <utility>

#include "base/median.h"

namespace borealis {

bool NormSpikes::add(double norm) {
  const bool spike = std::ssize(recent_) >= kFewestNorms && norm > factor_ * median(recent_);
  recent_.push_back(norm);
  restore(std::move(recent_));
  return spike;
}

void NormSpikes::restore(std::vector<double> recent) {
  const auto surplus = std::ssize(recent) - static_cast<std::ptrdiff_t>(window_);
  if (surplus > 0) recent.erase(recent.begin(), recent.begin() + surplus);
  recent_ = std::move(recent);
}

}  // namespace borealis
