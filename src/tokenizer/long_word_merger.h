// Byte-pair merges of a word of many millions of pieces, in little more memory than the pieces
// themselves. The merges are those that a heap of all pairs would give, in the same order: lowest
// rank first, leftmost of equal ones. But the pairs are not held at once: the ranks are cut into
// ranges with few pairs each, and each range finds its own by a pass over the word.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tokenizer/merge_table.h"

namespace borealis {

class LongWordMerger {
 public:
  // Pieces with fewer entries are no long word.
  static constexpr size_t kLongWord = size_t{1} << 20;

  // `pieces`, of at most 2^31 - 1 ids, become what is left when no merge applies. Candidates are
  // held for as many pairs as a sixteenth of the pieces, `least_candidates` at least, and up to
  // twice as many: some 6 bytes a piece in all, the pieces included.
  LongWordMerger(const MergeTable& merges, std::vector<int32_t>& pieces,
                 size_t least_candidates = kLongWord);
  void run();

 private:
  struct Candidate {
    int32_t rank;
    int32_t position;
    int32_t result;
  };
  static bool comes_later(const Candidate& a, const Candidate& b);

  int32_t length(int32_t position) const;
  int32_t next(int32_t position) const { return position + length(position); }
  int32_t previous(int32_t position) const;  // -1: none
  const MergeTable::Entry* merge_at(int32_t position) const;
  void merge(int32_t left, int32_t result);

  void count_pairs();
  int32_t merge_range(int32_t first, int32_t end);
  void merge_rank(int32_t rank);
  void merge_candidates_before(int32_t rank);
  void add_pair(int32_t position, int32_t end);
  int32_t narrow();
  Candidate pop();
  void push(const Candidate& candidate);
  void compact();

  const MergeTable& merges_;
  // A piece is its id at the place of its first byte, and minus the number of its places in the
  // second and the last of them; all places but the first are negative.
  std::vector<int32_t>& places_;
  int32_t size_;
  size_t most_candidates_;
  std::vector<int64_t> pairs_of_rank_;  // at most so many are there
  std::vector<Candidate> heap_;
  int32_t cursor_ = 0;  // of the pass under way
};

}  // namespace borealis
