// In which order the tasks of attention's backward pass start, and add to the sums that they share.
//   B, T, H, K, C, G = H/K as in kernels/attention.h; group = one key/value head of one sequence.
#pragma once

#include <cstdint>
#include <optional>

#include "base/rounding.h"
#include "kernels/attention.h"

namespace borealis {

// Columns of a group's sums of dK and dV [2][T][width]: C rounded up to whole vectors.
inline int64_t key_gradient_width(int64_t head_dim) { return round_up(head_dim, 32); }

// Gradients that come from some queries of one head.
struct BackwardTask {
  int64_t group = 0;
  int64_t head_in_group = 0;
  int64_t part = 0;  // of the head's queries, cut into equal parts; the last may be shorter
};

// dK and dV of a group are sums over its tasks. For every block of keys these take turns: a part of
// all heads, one head after the other, then the part before it; the late queries are first, since
// they see every block that earlier ones see. So the sums have the same bits for any number of
// threads.
//   Every task walks through its blocks from the first key on and cannot pass one that is before
// it. Where earlier queries' tasks run beside late ones they are held up on their last blocks, of
// which they see half and the late ones all. So tasks start in the order of the turns, of as many
// groups at a time that all threads begin with late queries: the long tasks come first, and what
// could be held up by them starts when they are through, or nearly. Sums of groups that are under
// way take up to 128 MiB.
class BackwardOrder {
 public:
  // part_queries is a multiple of key_block.
  BackwardOrder(const AttentionShape& s, int64_t part_queries, int64_t key_block, int most_threads);

  int threads() const { return threads_; }  // that have a task at all
  int64_t groups() const { return groups_; }
  int64_t tasks_of_group() const { return group_size_ * parts_; }
  int64_t tasks() const { return groups_ * tasks_of_group(); }
  // Groups that have sums at a time: of group g they are the (g % slots())th.
  int64_t slots() const { return slots_; }

  BackwardTask task(int64_t i) const;              // the i-th to start
  int64_t number(const BackwardTask& task) const;  // of its own, below tasks()
  // Of its group's turns; the last one's depends on the block.
  bool is_first(const BackwardTask& task) const;
  bool is_last(const BackwardTask& task, int64_t block) const;
  // Whose turn it is before the task's, which starts before it; of the first one the last that had
  // these sums for another group, if any.
  std::optional<BackwardTask> before(const BackwardTask& task, int64_t block) const;

 private:
  BackwardTask last_of(int64_t group, int64_t block) const;

  int64_t groups_, group_size_, parts_;
  int64_t blocks_of_part_;  // key blocks that are as long as a part of queries
  int threads_;
  int64_t groups_at_a_time_, slots_;
};

}  // namespace borealis
