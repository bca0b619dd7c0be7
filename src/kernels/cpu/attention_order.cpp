#include "kernels/cpu/attention_order.h"

#include <algorithm>

#include "base/check.h"
#include "base/rounding.h"

namespace borealis {
namespace {

// Of whose sums there is room: dK and dV in f32.
int64_t most_groups(const AttentionShape& s) {
  constexpr int64_t kMostBytes = int64_t{128} << 20;
  const int64_t columns = 2 * key_gradient_width(s.head_dim);
  const int64_t bytes = s.seq_length * columns * static_cast<int64_t>(sizeof(float));
  return std::max<int64_t>(kMostBytes / bytes - 1, 1);
}

}  // namespace

BackwardOrder::BackwardOrder(const AttentionShape& s, int64_t part_queries, int64_t key_block,
                             int most_threads)
    : groups_(s.batch_size * s.num_key_value_heads),
      group_size_(s.group_size()),
      parts_(divide_up(s.seq_length, part_queries)),
      blocks_of_part_(part_queries / key_block),
      threads_(static_cast<int>(std::min<int64_t>(most_threads, tasks()))),
      groups_at_a_time_(std::min({divide_up(threads_, group_size_), groups_, most_groups(s)})),
      // One more: threads that have finished go on with the next groups.
      slots_(std::min(groups_at_a_time_ + 1, groups_)) {
  CHECK(part_queries % key_block == 0);
}

BackwardTask BackwardOrder::task(int64_t i) const {
  const int64_t first = i / (groups_at_a_time_ * tasks_of_group()) * groups_at_a_time_;
  const int64_t heads = std::min(groups_at_a_time_, groups_ - first) * group_size_;
  const int64_t of_these = i - first * tasks_of_group(), head = of_these % heads;
  return {.group = first + head / group_size_,
          .head_in_group = head % group_size_,
          .part = parts_ - 1 - of_these / heads};
}

int64_t BackwardOrder::number(const BackwardTask& task) const {
  return (task.group * group_size_ + task.head_in_group) * parts_ + task.part;
}

bool BackwardOrder::is_first(const BackwardTask& task) const {
  return task.head_in_group == 0 && task.part == parts_ - 1;
}

bool BackwardOrder::is_last(const BackwardTask& task, int64_t block) const {
  return task.head_in_group == group_size_ - 1 && task.part == block / blocks_of_part_;
}

BackwardTask BackwardOrder::last_of(int64_t group, int64_t block) const {
  return {group, group_size_ - 1, block / blocks_of_part_};
}

std::optional<BackwardTask> BackwardOrder::before(const BackwardTask& task, int64_t block) const {
  if (task.head_in_group > 0) return BackwardTask{task.group, task.head_in_group - 1, task.part};
  if (task.part < parts_ - 1) return BackwardTask{task.group, group_size_ - 1, task.part + 1};
  const bool shares_sums = tasks_of_group() > 1 && task.group >= slots_;
  if (!shares_sums) return {};
  return last_of(task.group - slots_, block);
}

}  // namespace borealis
