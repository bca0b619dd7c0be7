// One micro-batch of one rank, and where it comes from.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace borealis {

// B sequences of T tokens; targets[b][t] is the token after tokens[b][t], or kNoTarget
// (kernels/cross_entropy.h) where it does not count for the loss.
struct Batch {
  int64_t batch_size = 0;        // B
  int64_t seq_length = 0;        // T
  std::vector<int32_t> tokens;   // [B, T]
  std::vector<int32_t> targets;  // [B, T]
  // Of documents in a sequence, for a run that looks at them.
  std::vector<int32_t> positions = {};        // [B, T], for RoPE; empty: 0 .. T-1
  std::vector<int32_t> document_starts = {};  // [B, T], as in kernels/attention.h; empty: none

  int64_t loss_tokens() const;  // with a target
};

// Of document_starts, the tokens of each document in order; empty where there are none.
std::vector<int32_t> document_lengths(const Batch& batch);

enum class Split { kTrain, kValid, kTest };

// Yields the micro-batches that one rank sees, in order (contract section 7.9).
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  // Fills `batch`, whose vectors are sized on the first call and reused. Throws Error(kData) when
  // the samples are used up or a token id is outside the vocabulary (names the document).
  virtual void next(Batch& batch) = 0;
  // Passes over the batch that next() would give, whatever is in it: also one that it has refused.
  virtual void skip() = 0;
};

}  // namespace borealis
