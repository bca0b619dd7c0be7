#include "kernels/cpu/attention_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <queue>
#include <vector>

namespace borealis {
namespace {

constexpr int64_t kPart = 1024, kBlock = 64, kBlocksOfPart = kPart / kBlock;

// batch, sequence, heads, kv heads, head size
constexpr AttentionShape kM{1, 2048, 16, 4, 64};
constexpr AttentionShape kLlama3{1, 8192, 32, 8, 128};
constexpr AttentionShape kSmolLm3{1, 8192, 16, 4, 128};
constexpr AttentionShape kManyHeads{4, 4096, 32, 32, 128};
constexpr AttentionShape kShapes[] = {kM,
                                      kLlama3,
                                      kSmolLm3,
                                      {8, 512, 6, 2, 64},
                                      {3, 1300, 2, 2, 8},
                                      {1, 3000, 5, 1, 16},
                                      {5, 100, 3, 3, 8},
                                      {2, 64, 1, 1, 8}};
constexpr int kThreads[] = {1, 2, 3, 5, 8, 16, 31, 64, 200};

// Key blocks that the queries of a part see.
int64_t blocks_of(const AttentionShape& s, int64_t part) {
  return (std::min((part + 1) * kPart, s.seq_length) + kBlock - 1) / kBlock;
}

std::vector<BackwardTask> tasks_of(const BackwardOrder& order) {
  std::vector<BackwardTask> tasks;
  for (int64_t i = 0; i < order.tasks(); ++i) tasks.push_back(order.task(i));
  return tasks;
}

// When each task starts, by its number.
std::vector<int64_t> starts_of(const BackwardOrder& order) {
  std::vector<int64_t> starts(static_cast<size_t>(order.tasks()), -1);
  for (int64_t i = 0; i < order.tasks(); ++i) {
    starts[static_cast<size_t>(order.number(order.task(i)))] = i;
  }
  return starts;
}

template <typename Visit>
void for_each_order(const Visit& visit) {
  for (const AttentionShape& s : kShapes) {
    for (const int threads : kThreads) {
      SCOPED_TRACE(::testing::Message()
                   << s.batch_size << " x " << s.seq_length << ", " << s.num_heads << " heads, "
                   << s.num_key_value_heads << " kv heads, " << threads << " threads");
      visit(s, BackwardOrder(s, kPart, kBlock, threads), threads);
    }
  }
}

TEST(AttentionOrder, StartsEveryTaskOnce) {
  for_each_order([](const AttentionShape& s, const BackwardOrder& order, int threads) {
    EXPECT_EQ(order.tasks(), s.batch_size * s.num_heads * ((s.seq_length + kPart - 1) / kPart));
    EXPECT_EQ(order.threads(), std::min<int64_t>(threads, order.tasks()));
    EXPECT_EQ(std::ranges::count(starts_of(order), -1), 0);
  });
}

// Or threads could all wait for a task that none of them has.
TEST(AttentionOrder, WhoeverWaitsWaitsForATaskThatHasStarted) {
  for_each_order([](const AttentionShape& s, const BackwardOrder& order, int) {
    const std::vector<int64_t> starts = starts_of(order);
    const auto start_of = [&](const BackwardTask& task) {
      return starts[static_cast<size_t>(order.number(task))];
    };
    for (const BackwardTask& task : tasks_of(order)) {
      for (int64_t block = 0; block < blocks_of(s, task.part); ++block) {
        const auto before = order.before(task, block);
        if (before) {
          EXPECT_LT(start_of(*before), start_of(task));
        }
      }
    }
  });
}

// Of each block: one first and one last task, and between them all that see it, in turn.
TEST(AttentionOrder, EveryTaskOfAGroupHasItsTurn) {
  for_each_order([](const AttentionShape& s, const BackwardOrder& order, int) {
    for (int64_t block = 0; block < blocks_of(s, (s.seq_length - 1) / kPart); ++block) {
      std::vector<int64_t> turns(static_cast<size_t>(order.groups()), 0);
      for (const BackwardTask& task : tasks_of(order)) {
        if (!order.is_last(task, block)) continue;
        std::optional<BackwardTask> at = task;
        ++turns[static_cast<size_t>(task.group)];
        while (!order.is_first(*at)) {
          at = order.before(*at, block);
          ASSERT_TRUE(at && at->group == task.group && block < blocks_of(s, at->part));
          ++turns[static_cast<size_t>(task.group)];
        }
        // The group that had these sums before is through with the block.
        if (const auto other = order.before(*at, block)) {
          EXPECT_EQ(other->group, task.group - order.slots());
          EXPECT_TRUE(order.is_last(*other, block));
        } else {
          EXPECT_TRUE(order.tasks_of_group() == 1 || task.group < order.slots());
        }
      }
      const int64_t parts = (s.seq_length + kPart - 1) / kPart;
      const int64_t seen = s.group_size() * (parts - block / kBlocksOfPart);
      EXPECT_EQ(std::ranges::count(turns, seen), order.groups()) << "block " << block;
    }
  });
}

// What of the threads' time goes into work, on processors of their own and alike: a key block takes
// a part's queries one unit, on the diagonal half of it, and its turn a twentieth of one.
double efficiency(const AttentionShape& s, int threads) {
  constexpr double kTurn = 0.05;
  const BackwardOrder order(s, kPart, kBlock, threads);
  std::priority_queue<double, std::vector<double>, std::greater<>> free_at;
  for (int i = 0; i < threads; ++i) free_at.push(0);
  std::vector<std::vector<double>> done(static_cast<size_t>(order.tasks()));  // at, by block
  double work = 0, end = 0;
  for (const BackwardTask& task : tasks_of(order)) {
    double now = free_at.top();
    free_at.pop();
    for (int64_t block = 0; block < blocks_of(s, task.part); ++block) {
      const int64_t behind_diagonal =
          std::min((task.part + 1) * kPart, s.seq_length) - (block + 1) * kBlock;
      const double unit =
          std::min(1.0, (static_cast<double>(behind_diagonal) + 0.5 * kBlock) / kPart);
      work += unit + kTurn;
      now += unit;
      if (const auto before = order.before(task, block)) {
        now = std::max(
            now, done[static_cast<size_t>(order.number(*before))][static_cast<size_t>(block)]);
      }
      now += kTurn;
      done[static_cast<size_t>(order.number(task))].push_back(now);
    }
    free_at.push(now);
    end = std::max(end, now);
  }
  return work / (end * threads);
}

// Heads one after the other, each with all its parts, would be at 67, 90 and 75 %: early queries
// are held up by late ones.
TEST(AttentionOrder, KeepsThreadsBusy) {
  EXPECT_GT(efficiency(kM, 2), 0.98);
  EXPECT_GT(efficiency(kM, 8), 0.98);
  EXPECT_GT(efficiency(kM, 16), 0.98);
  EXPECT_GT(efficiency(kLlama3, 16), 0.98);
  EXPECT_GT(efficiency(kLlama3, 64), 0.95);
  EXPECT_GT(efficiency(kSmolLm3, 32), 0.95);
  EXPECT_GT(efficiency(kManyHeads, 16), 0.98);
  EXPECT_GT(efficiency(kManyHeads, 64), 0.8);  // as many groups at a time as there is room for
}

// Of many heads with keys of their own, for which the sums of all would be half a GiB.
TEST(AttentionOrder, SumsHaveABound) {
  for (const int threads : {16, 64, 128}) {
    const BackwardOrder order(kManyHeads, kPart, kBlock, threads);
    const int64_t bytes = 2 * kManyHeads.seq_length * kManyHeads.head_dim * 4;
    EXPECT_LE(order.slots() * bytes, int64_t{128} << 20) << threads;
  }
}

}  // namespace
}  // namespace borealis
