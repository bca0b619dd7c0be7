#include "tokenizer/long_word_merger.h"

#include <algorithm>

#include "base/check.h"

namespace borealis {

LongWordMerger::LongWordMerger(const MergeTable& merges, std::vector<int32_t>& pieces,
                               size_t least_candidates)
    : merges_(merges),
      places_(pieces),
      size_(static_cast<int32_t>(pieces.size())),
      most_candidates_(std::max(pieces.size() / 16, least_candidates)),
      pairs_of_rank_(static_cast<size_t>(merges.ranks())) {
  CHECK(pieces.size() <= INT32_MAX && least_candidates > 0);
}

void LongWordMerger::run() {
  count_pairs();
  const auto ranks = static_cast<int32_t>(pairs_of_rank_.size());
  for (int32_t first = 0; first < ranks;) {
    int64_t pairs = pairs_of_rank_[static_cast<size_t>(first)];
    int32_t end = first + 1;
    if (pairs > static_cast<int64_t>(most_candidates_)) {
      merge_rank(first);
      first = end;
      continue;
    }
    for (; end < ranks; ++end) {
      const int64_t more = pairs_of_rank_[static_cast<size_t>(end)];
      if (pairs + more > static_cast<int64_t>(most_candidates_)) break;
      pairs += more;
    }
    first = pairs == 0 ? end : merge_range(first, end);
  }
  compact();
}

// For std heaps, whose top is the largest element.
bool LongWordMerger::comes_later(const Candidate& a, const Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
}

int32_t LongWordMerger::length(int32_t position) const {
  if (position + 1 == size_) return 1;
  return std::max(1, -places_[static_cast<size_t>(position) + 1]);
}

int32_t LongWordMerger::previous(int32_t position) const {
  if (position == 0) return -1;
  const int32_t before = places_[static_cast<size_t>(position) - 1];
  return before >= 0 ? position - 1 : position + before;
}

// Of the piece there and the one behind it; nullptr if they do not merge.
const MergeTable::Entry* LongWordMerger::merge_at(int32_t position) const {
  const int32_t right = next(position);
  if (right >= size_) return nullptr;
  return merges_.find(places_[static_cast<size_t>(position)], places_[static_cast<size_t>(right)]);
}

void LongWordMerger::merge(int32_t left, int32_t result) {
  const int32_t right = next(left);
  const int32_t places = next(right) - left;
  places_[static_cast<size_t>(right)] = -1;
  places_[static_cast<size_t>(left)] = result;
  places_[static_cast<size_t>(left) + 1] = -places;
  places_[static_cast<size_t>(left + places) - 1] = -places;
  if (cursor_ == right) cursor_ = left;
}

void LongWordMerger::count_pairs() {
  for (int32_t at = 0; at < size_; at = next(at)) {
    if (const auto* merge = merge_at(at)) ++pairs_of_rank_[static_cast<size_t>(merge->rank)];
  }
}

// Notes the pair that is new there: as a candidate if its rank is below `end`, else in its count
// alone.
void LongWordMerger::add_pair(int32_t position, int32_t end) {
  if (position < 0) return;
  const auto* merge = merge_at(position);
  if (merge == nullptr) return;
  if (merge->rank < end) {
    push({merge->rank, position, merge->result});
  } else {
    ++pairs_of_rank_[static_cast<size_t>(merge->rank)];
  }
}

void LongWordMerger::push(const Candidate& candidate) {
  heap_.push_back(candidate);
  std::push_heap(heap_.begin(), heap_.end(), comes_later);
}

LongWordMerger::Candidate LongWordMerger::pop() {
  std::pop_heap(heap_.begin(), heap_.end(), comes_later);
  const Candidate candidate = heap_.back();
  heap_.pop_back();
  return candidate;
}

// Makes all merges with ranks below `end`, of which only those from `first` on have pairs now.
// Returns the first rank that is still to be done: `end`, or less if there were too many new pairs.
int32_t LongWordMerger::merge_range(int32_t first, int32_t end) {
  heap_.reserve(2 * most_candidates_ + 2);
  for (int32_t at = 0; at < size_; at = next(at)) {
    const auto* merge = merge_at(at);
    if (merge != nullptr && merge->rank < end) heap_.push_back({merge->rank, at, merge->result});
  }
  std::fill(pairs_of_rank_.begin() + first, pairs_of_rank_.begin() + end, 0);
  std::make_heap(heap_.begin(), heap_.end(), comes_later);
  while (!heap_.empty()) {
    if (heap_.size() > 2 * most_candidates_) {
      end = narrow();
      continue;
    }
    const Candidate best = pop();
    if (places_[static_cast<size_t>(best.position)] < 0) continue;
    // Stale unless the pair that is there now makes the same piece.
    const auto* now = merge_at(best.position);
    if (now == nullptr || now->result != best.result) continue;
    merge(best.position, best.result);
    add_pair(previous(best.position), end);
    add_pair(best.position, end);
  }
  return end;
}

// Forgets the candidates of higher ranks, which a later range finds again; returns the first rank
// of these. A rank that is too much by itself is done by a pass of its own.
int32_t LongWordMerger::narrow() {
  const int32_t lowest = heap_.front().rank;
  const auto middle = heap_.begin() + static_cast<std::ptrdiff_t>(heap_.size() / 2);
  const auto by_rank = [](const Candidate& a, const Candidate& b) { return a.rank < b.rank; };
  std::nth_element(heap_.begin(), middle, heap_.end(), by_rank);
  const int32_t end = std::max(middle->rank, lowest + 1);
  for (const Candidate& candidate : heap_) {
    if (candidate.rank >= end) ++pairs_of_rank_[static_cast<size_t>(candidate.rank)];
  }
  if (middle->rank == lowest) {
    heap_.clear();
    merge_rank(lowest);
    return end;
  }
  std::erase_if(heap_, [end](const Candidate& candidate) { return candidate.rank >= end; });
  std::make_heap(heap_.begin(), heap_.end(), comes_later);
  return end;
}

// All pairs of one rank from left to right, where no pair of a lower one is left. A merge may make
// pairs of lower ranks, or of this one behind the cursor: they come first.
void LongWordMerger::merge_rank(int32_t rank) {
  pairs_of_rank_[static_cast<size_t>(rank)] = 0;
  for (cursor_ = 0; cursor_ < size_;) {
    const auto* found = merge_at(cursor_);
    if (found == nullptr || found->rank != rank) {
      cursor_ = next(cursor_);
      continue;
    }
    merge(cursor_, found->result);
    const int32_t left = previous(cursor_);
    add_pair(left, left >= 0 ? rank + 1 : rank);
    add_pair(cursor_, rank);
    merge_candidates_before(rank);
  }
  cursor_ = 0;
}

void LongWordMerger::merge_candidates_before(int32_t rank) {
  while (!heap_.empty()) {
    const Candidate best = pop();
    if (places_[static_cast<size_t>(best.position)] < 0) continue;
    const auto* now = merge_at(best.position);
    if (now == nullptr || now->result != best.result) continue;
    merge(best.position, best.result);
    const auto end_at = [&](int32_t position) { return position < cursor_ ? rank + 1 : rank; };
    const int32_t left = previous(best.position);
    add_pair(left, end_at(left));
    add_pair(best.position, end_at(best.position));
  }
}

void LongWordMerger::compact() {
  size_t count = 0;
  for (int32_t at = 0; at < size_;) {
    const int32_t behind = next(at);
    places_[count++] = places_[static_cast<size_t>(at)];
    at = behind;
  }
  places_.resize(count);
}

}  // namespace borealis
