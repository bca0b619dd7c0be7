// One rank's part of the sequences of a micro-batch, for sequence parallelism: the ranks of a group
// read the same sequences, and of each has every rank a run of T / P tokens.
#pragma once

#include <cstdint>
#include <memory>

#include "data/batch.h"

namespace borealis {

class SequencePart : public BatchSource {
 public:
  // part: of 0 .. parts - 1, which divide the sequences of `whole`.
  SequencePart(std::unique_ptr<BatchSource> whole, int64_t part, int64_t parts);
  void next(Batch& batch) override;
  void skip() override { whole_->skip(); }

 private:
  std::unique_ptr<BatchSource> whole_;
  int64_t part_, parts_;
  Batch sequences_;
};

}  // namespace borealis
