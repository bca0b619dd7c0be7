#include "optim/gradient_norm.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <deque>
#include <numeric>
#include <vector>

#include "base/check.h"
#include "base/rounding.h"
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
  explicit UnitTree(const UnitCut& cut) : cut_(cut), blocks_(divide_up(cut.elements, kSumBlock)) {}

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

// Of all gradients that lie whole in memory, by subtrees whose sums are the ranks'.
class DenseSquares {
 public:
  // Asks for this rank's sums, which are there after the next ops.wait().
  DenseSquares(Communicator& ranks, OptimizerOps& ops, const ParameterBuffers& parameters,
               const Partition& partition)
      : ranks_(ranks),
        cuts_(
            std::span(partition.cuts()).subspan(parameters.embedding_gradient == nullptr ? 0 : 1)),
        shards_(partition.shards()),
        mine_(shards_ == 1 ? 0 : ranks.rank()),
        sums_(static_cast<size_t>(shards_)) {
    for (const UnitCut& cut : cuts_) {
      const float* own = owned_gradients(parameters, cut, mine_);
      UnitTree(cut).visit_subtrees(shards_, [&](int64_t owner, int64_t begin, int64_t end) {
        double& sum = sums_[static_cast<size_t>(owner)].emplace_back();
        if (owner == mine_) {
          ops.sum_of_squares(own + (begin - cut.begin(mine_)), end - begin, &sum);
        }
        return 0.0;  // they are added up in total(), when all are there
      });
    }
  }
  DenseSquares(const DenseSquares&) = delete;
  DenseSquares& operator=(const DenseSquares&) = delete;

  // Once.
  double total() {
    if (shards_ > 1) gather();
    std::vector<size_t> next(sums_.size());
    double squares = 0;
    for (const UnitCut& cut : cuts_) {
      squares += UnitTree(cut).visit_subtrees(shards_, [&](int64_t owner, int64_t, int64_t) {
        const auto of = static_cast<size_t>(owner);
        return sums_[of][next[of]++];
      });
    }
    return squares;
  }

 private:
  void gather() {
    const size_t most = std::ranges::max(sums_, {}, &std::deque<double>::size).size();
    std::vector<double> all(most * sums_.size());
    const std::deque<double>& own = sums_[static_cast<size_t>(mine_)];
    std::vector<double> to_send(own.begin(), own.end());
    to_send.resize(most);
    ranks_.all_gather(std::span<const double>(to_send), std::span<double>(all),
                      "adding up the norm of the gradients");
    for (size_t owner = 0; owner < sums_.size(); ++owner) {
      const auto first = all.begin() + static_cast<int64_t>(owner * most);
      sums_[owner].assign(first, first + static_cast<int64_t>(most));
    }
  }

  Communicator& ranks_;
  std::span<const UnitCut> cuts_;
  int64_t shards_, mine_;
  std::vector<std::deque<double>> sums_;  // of subtrees, by owner; a deque's elements stay put
};

// Asks for the sum, as above, in the order of the rows' ids: in memory they lie in the order of
// first use, which differs by rank.
void ask_for_row_squares(OptimizerOps& ops, const RowGradients& rows, double* sum) {
  std::vector<int32_t> places(rows.ids().size());
  std::iota(places.begin(), places.end(), 0);
  std::ranges::sort(places, {},
                    [ids = rows.ids()](int32_t place) { return ids[static_cast<size_t>(place)]; });
  ops.sum_of_squares_of_rows(rows.values(), places, rows.shape().row_size, sum);
}

}  // namespace

double global_grad_norm(Communicator& ranks, OptimizerOps& ops, const ParameterBuffers& parameters,
                        const Partition& partition) {
  // A device works on the dense ones while the host sorts the rows, and is waited for once.
  DenseSquares dense(ranks, ops, parameters, partition);
  double of_rows = 0;
  if (parameters.embedding_gradient != nullptr) {
    ask_for_row_squares(ops, *parameters.embedding_gradient, &of_rows);
  }
  ops.wait();
  return std::sqrt(dense.total() + of_rows);
}

}  // namespace borealis
