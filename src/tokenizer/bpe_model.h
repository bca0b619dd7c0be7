// Byte-pair encoding of one word: its bytes become pieces, and adjacent pieces are merged, the
// merge of lowest rank first and the leftmost of equal ones, until no merge applies.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/tokenizer_definition.h"

namespace borealis {

class BpeModel {
 public:
  explicit BpeModel(const TokenizerDefinition& definition);

  // Working memory of one thread.
  struct Scratch {
    struct Symbol {
      int32_t id = 0;
      int32_t previous = -1;
      int32_t next = -1;
      bool alive = true;
    };
    struct Candidate {
      int32_t rank = 0;
      int32_t position = 0;
      int32_t result = 0;
    };
    std::vector<Symbol> symbols;
    std::vector<Candidate> heap;
  };
  // Appends the ids of `word` to `ids`. O(n log n) in its bytes, of which there are less than 2^31.
  void encode_word(std::string_view word, Scratch& scratch, std::vector<int32_t>& ids) const;

 private:
  // Hash table from a pair of ids to its merge; open addressing, never more than half full.
  class MergeTable {
   public:
    explicit MergeTable(const std::vector<Merge>& merges);
    struct Entry {
      uint64_t pair = kEmpty;
      int32_t rank = 0;
      int32_t result = 0;
    };
    const Entry* find(int32_t left, int32_t right) const;

   private:
    static constexpr uint64_t kEmpty = ~uint64_t{0};
    size_t slot(uint64_t pair) const;
    std::vector<Entry> entries_;
    int shift_ = 0;
  };

  void put_bytes(std::string_view word, std::vector<Scratch::Symbol>& symbols) const;
  void push_candidate(Scratch& scratch, int32_t position) const;

  MergeTable merges_;
  std::vector<int32_t> byte_ids_;                      // 256; -1: no piece
  std::unordered_map<std::string, int32_t> word_ids_;  // only with ignore_merges
  int32_t unknown_id_ = -1;
  bool fuse_unknown_ = false;
};

}  // namespace borealis
