// Sequence parallelism by all-to-all (Jacobs et al., "DeepSpeed Ulysses", 2023): between attentions
// each of P ranks has its part of every sequence, in attention all tokens of its part of the heads.
//   B sequences of T tokens; a token's row is some lists of heads ({H}, or {H, K, K} of queries,
//   keys and values), of which P divides every one. Rank r has tokens r T/P .. (r+1) T/P - 1 with
//   all heads, or all tokens with the heads r h/P .. (r+1) h/P - 1 of every list of h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "comm/communicator.h"

namespace borealis {

struct HeadRows {
  int64_t batch_size = 0;             // B
  int64_t tokens = 0;                 // T / P, of this rank's part
  std::array<int64_t, 3> heads = {};  // of each list
  int64_t head_bytes = 0;

  int64_t row_bytes() const;  // of all heads
};

class SequenceExchange {
 public:
  // Of the ranks that share sequences, in the order of their parts. A communicator of its own:
  // other exchanges go on beside these.
  explicit SequenceExchange(std::unique_ptr<Communicator> group) : group_(std::move(group)) {}

  int64_t parts() const { return group_->size(); }
  // Collective, as to_tokens(). In place: data [B, T/P, all heads] -> [B, T, this rank's heads].
  // space: as many bytes, overwritten.
  void to_heads(const HeadRows& rows, std::byte* data, std::byte* space);
  // from [B, T, this rank's heads] -> to [B, T/P, all heads], which may be the same memory.
  void to_tokens(const HeadRows& rows, const std::byte* from, std::byte* to, std::byte* space);

  // How long calls have waited for the other ranks, since the beginning.
  double waited_ms() const { return waited_ms_; }

 private:
  // Of every sequence's P blocks in `to` the r-th goes to rank r, and that of `from` comes from it.
  void exchange(const HeadRows& rows, const std::byte* to, std::byte* from);

  std::unique_ptr<Communicator> group_;
  double waited_ms_ = 0;
};

}  // namespace borealis
