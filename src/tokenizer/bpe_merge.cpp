#include "tokenizer/bpe_merge.h"

#include <cstddef>
#include <queue>
#include <tuple>

namespace borealis {
namespace {

struct Candidate {
  int32_t rank;
  int32_t position;
  int32_t id;
  bool operator<(const Candidate& other) const {  // the queue's top is the smallest
    return std::tie(rank, position) > std::tie(other.rank, other.position);
  }
};

struct Node {
  int32_t symbol;
  int32_t previous, next;  // -1 at the ends
};

}  // namespace

void apply_merges(const MergeTable& merges, std::vector<int32_t>& symbols) {
  const auto count = static_cast<int32_t>(symbols.size());
  std::vector<Node> nodes(symbols.size());
  for (int32_t i = 0; i < count; ++i) {
    nodes[static_cast<std::size_t>(i)] = {symbols[static_cast<std::size_t>(i)], i - 1,
                                          i + 1 < count ? i + 1 : -1};
  }
  const auto node = [&](int32_t i) -> Node& { return nodes[static_cast<std::size_t>(i)]; };
  std::priority_queue<Candidate> queue;
  const auto offer = [&](int32_t left) {
    if (left < 0 || node(left).next < 0) return;
    const auto found = merges.find(merge_key(node(left).symbol, node(node(left).next).symbol));
    if (found != merges.end()) queue.push({found->second.rank, left, found->second.id});
  };
  for (int32_t i = 0; i + 1 < count; ++i) offer(i);
  constexpr int32_t kGone = -1;
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Node& left = node(best.position);
    if (left.symbol == kGone || left.next < 0) continue;
    // Stale unless the pair that stands here now still makes this piece.
    const auto now = merges.find(merge_key(left.symbol, node(left.next).symbol));
    if (now == merges.end() || now->second.id != best.id) continue;
    Node& right = node(left.next);
    left.symbol = best.id;
    right.symbol = kGone;
    left.next = right.next;
    if (right.next >= 0) node(right.next).previous = best.position;
    offer(left.previous);
    offer(best.position);
  }
  symbols.clear();
  for (int32_t i = count > 0 ? 0 : -1; i >= 0; i = node(i).next) symbols.push_back(node(i).symbol);
}

}  // namespace borealis
