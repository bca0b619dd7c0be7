// The loss of a step over its micro-batches, whose tokens may be excluded from it
// (--eod-mask-loss).
#pragma once

#include <cstdint>

#include "comm/communicator.h"
#include "config/run_config.h"
#include "data/batch.h"

namespace borealis {

// LossMean::kTokens: the sum of the losses of the step's counted tokens over their number, however
// the global batch is cut. LossMean::kMicroBatch: the mean over micro-batches of their means over
// their counted tokens, as the reference has it (contract section 2.7); a micro-batch without a
// counted token has no mean and is left out. Sequences that several ranks have a part of are one
// micro-batch.
//
// How many tokens count is known after the last micro-batch, when their gradients are already
// summed: those are scaled as if all counted, and gradient_factor() makes that good.
class StepLoss {
 public:
  // tokens: counted or not, of all micro-batches.
  StepLoss(LossMean mean, int64_t tokens) : mean_(mean), tokens_(tokens) {}

  // What forward_backward scales the gradients of the batch's sum of losses with.
  float gradient_scale(const Batch& batch) const;
  // sum: of the losses of the batch's counted tokens.
  void add(const Batch& batch, double sum);
  // A micro-batch of this rank has data that cannot be used: nothing may come of the step.
  void add_unusable() { ++sums_.unusable; }
  // Those of all ranks become the loss of each: the same bits on all. `tokens` above are then of
  // all ranks. Collective.
  void add_up(Communicator& ranks);

  int64_t counted_tokens() const { return sums_.counted; }
  bool is_usable() const { return sums_.unusable == 0; }
  double mean() const;             // nats a token; NaN if no token counts
  double gradient_factor() const;  // exactly 1 where every token counts

 private:
  double weight(const Batch& batch) const;

  struct Sums {
    int64_t counted = 0;
    int64_t in_mean = 0;  // tokens of the micro-batches that have a counted one
    int64_t unusable = 0;
    double loss = 0;
  };

  LossMean mean_;
  int64_t tokens_;
  Sums sums_;
};

}  // namespace borealis
