#include "optim/gradient_norm.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <deque>
#include <numeric>
#include <vector>

#include "base/check.h"
#include "comm/collectives.h"
#include "kernels/grad_norm.h"
#include "parallel/owned_parameters.h"

namespace borealis {
namespace {

static_assert(Partition::kBlockElements == kSumBlock, "shards must own whole blocks of the sum");

// The sums of squares of a unit's blocks are the leaves of a binary tree. Every shard owns some
// leaves in a row: whole subtrees, which it adds up by itself. What is above them the ranks add up
// alike, from all shards' subtrees.
class UnitTree {
 public:
  explicit UnitTree(const UnitCut& cut)
      : cut_(cut), blocks_((cut.elements + kSumBlock - 1) / kSumBlock) {}

  // visit(shard, first element, end) for each of the largest subtrees with one owner, in order;
  // it returns the subtree's sum. Returns the root.
  template <typename Visit>
  double visit_subtrees(int64_t shards, const Visit& visit) const {
    const auto leaves = std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(1, blocks_)));
    return node(0, static_cast<int64_t>(leaves), shards, visit);
  }

 private:
  template <typename Visit>
  double node(int64_t first, int64_t leaves, int64_t shards, const Visit& visit) const {
    if (first >= blocks_) return 0;
    const int64_t begin = first * kSumBlock;
    const int64_t end = std::min(cut_.elements, (first + leaves) * kSumBlock);
    const int64_t owner = std::min(shards - 1, begin / cut_.part);
    if (end <= cut_.end(owner)) return visit(owner, begin, end);
    const double left = node(first, leaves / 2, shards, visit);
    return left + node(first + leaves / 2, leaves / 2, shards, visit);
  }

  const UnitCut& cut_;
  int64_t blocks_;
};

double dense_squares(Communicator& ranks, OptimizerOps& ops, const ParameterBuffers& parameters,
                     const Partition& partition) {
  const int64_t shards = partition.shards();
  const int64_t mine = shards == 1 ? 0 : ranks.rank();
  const auto cuts =
      std::span(partition.cuts()).subspan(parameters.embedding_gradient == nullptr ? 0 : 1);
  // Of subtrees, by owner; a deque's elements stay where they are.
  std::vector<std::deque<double>> sums(static_cast<size_t>(shards));
  for (const UnitCut& cut : cuts) {
    const float* own = owned_gradients(parameters, cut, mine);
    UnitTree(cut).visit_subtrees(shards, [&](int64_t owner, int64_t begin, int64_t end) {
      double& sum = sums[static_cast<size_t>(owner)].emplace_back();
      if (owner == mine) {
        ops.sum_of_squares(own + (begin - cut.begin(mine)), end - begin, &sum);
      }
      return 0.0;  // they are added up below, when all are there
    });
  }
  ops.wait();
  if (shards > 1) {
    const size_t most = std::ranges::max(sums, {}, &std::deque<double>::size).size();
    std::vector<double> all(most * sums.size());
    const std::deque<double>& own = sums[static_cast<size_t>(mine)];
    std::vector<double> to_send(own.begin(), own.end());
    to_send.resize(most);
    ranks.all_gather(std::span<const double>(to_send), std::span<double>(all),
                     "adding up the norm of the gradients");
    for (size_t owner = 0; owner < sums.size(); ++owner) {
      const auto first = all.begin() + static_cast<int64_t>(owner * most);
      sums[owner].assign(first, first + static_cast<int64_t>(most));
    }
  }
  std::vector<size_t> next(sums.size());
  double squares = 0;
  for (const UnitCut& cut : cuts) {
    squares += UnitTree(cut).visit_subtrees(shards, [&](int64_t owner, int64_t, int64_t) {
      const auto of = static_cast<size_t>(owner);
      return sums[of][next[of]++];
    });
  }
  return squares;
}

// In the order of their ids: in memory they lie in the order of first use, which differs by rank.
double row_squares(OptimizerOps& ops, const RowGradients& rows) {
  std::vector<int32_t> places(rows.ids().size());
  std::iota(places.begin(), places.end(), 0);
  std::ranges::sort(places, {},
                    [ids = rows.ids()](int32_t place) { return ids[static_cast<size_t>(place)]; });
  double sum = 0;
  ops.sum_of_squares_of_rows(rows.values(), places, rows.shape().row_size, &sum);
  ops.wait();
  return sum;
}

}  // namespace

double global_grad_norm(Communicator& ranks, OptimizerOps& ops, const ParameterBuffers& parameters,
                        const Partition& partition) {
  double squares = dense_squares(ranks, ops, parameters, partition);
  if (parameters.embedding_gradient != nullptr) {
    squares += row_squares(ops, *parameters.embedding_gradient);
  }
  return std::sqrt(squares);
}

}  // namespace borealis
