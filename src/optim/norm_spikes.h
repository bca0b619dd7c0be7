// Finds steps whose gradient norm is far above those before it: batches that would throw the
// weights off. (A median over a window, as loggers of spikes have it; PaLM, Chowdhery et al. 2022,
// section 5.1, skips the batches of spikes in the loss.)
#pragma once

#include <cstdint>
#include <vector>

namespace borealis {

class NormSpikes {
 public:
  static constexpr int64_t kFewestNorms = 16;  // with fewer a median says little

  // factor: how far above the median a norm is a spike; window: norms that the median is taken of.
  NormSpikes(double factor, int64_t window) : factor_(factor), window_(window) {}

  // Whether `norm` is a spike among those before it. It counts among those of the next one, spike
  // or not, so that a lasting change of level is followed. Only finite norms.
  bool add(double norm);

  const std::vector<double>& recent() const { return recent_; }  // oldest first, at most `window`
  void restore(std::vector<double> recent);

 private:
  double factor_;
  int64_t window_;
  std::vector<double> recent_;
};

}  // namespace borealis
