// One micro-batch of one rank, and where it comes from.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace borealis {

// B sequences of T tokens, or one part of each; targets[b][t] is the token after tokens[b][t], or
// kNoTarget (kernels/cross_entropy.h) where it does not count for the loss.
struct Batch {
  int64_t batch_size = 0;               // B
  int64_t seq_length = 0;               // T
  std::vector<int32_t> tokens;          // [B, T]
  std::vector<int32_t> targets;         // [B, T]
  std::vector<int32_t> positions = {};  // [B, T], for RoPE; empty: 0 .. T-1
  // Of documents in a sequence, for a run that looks at them: [B, T parts], as in
  // kernels/attention.h; empty: none.
  std::vector<int32_t> document_starts = {};
  // Where the T tokens are one of several parts of each sequence (data/sequence_part.h).
  int64_t parts = 1;
  int64_t loss_tokens_of_parts = 0;  // with a target, in all of them

  int64_t loss_tokens() const;  // with a target
  // Of the micro-batch, whose other parts other ranks have: tokens, and those with a target.
  int64_t tokens_of_sequences() const { return parts * static_cast<int64_t>(targets.size()); }
  int64_t loss_tokens_of_sequences() const {
    return parts == 1 ? loss_tokens() : loss_tokens_of_parts;
  }
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
