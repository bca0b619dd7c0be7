// Byte-pair encoding of one word: its bytes, or its characters, become pieces, and adjacent pieces
// are merged, the merge of lowest rank first and the leftmost of equal ones, until none applies.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include "tokenizer/merge_table.h"
#include "tokenizer/piece_table.h"
#include "tokenizer/seam_filter.h"
#include "tokenizer/tokenizer_definition.h"
#include "tokenizer/utf8.h"

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
    std::vector<int32_t> pieces;
    std::vector<Symbol> symbols;
    std::vector<Candidate> heap;
  };
  // Appends the ids of `word`, valid UTF-8 unless the model is byte-level, to `ids`. O(n log n) in
  // its bytes, of which there are at most kLongestWord, and up to 40 bytes of memory a byte; from a
  // megabyte on (LongWordMerger) 6, but for the ids.
  void encode_word(std::string_view word, Scratch& scratch, std::vector<int32_t>& ids) const;
  static constexpr size_t kLongestWord = std::numeric_limits<int32_t>::max() - 1;

  // The id of a word that is a piece, where merges are ignored for such words; kNone elsewhere.
  int32_t whole_word(std::string_view word) const {
    return whole_words_.empty() ? PieceTable::kNone : whole_words_.find(word);
  }

  // Calls part(std::string_view) for parts of `word` that can be encoded one by one with the same
  // result; without whole_word().
  template <typename Part>
  void for_each_part(std::string_view word, Part part) const {
    if (!seams_ || word.empty()) {
      part(word);
      return;
    }
    size_t begin = 0;
    CodePoint last = code_point_at(word, 0);
    for (size_t place = last.length; place < word.size(); place += last.length) {
      const CodePoint next = code_point_at(word, place);
      if (!seams_->may_join(last.value, next.value)) {
        part(word.substr(begin, place - begin));
        begin = place;
      }
      last = next;
    }
    part(word.substr(begin));
  }

 private:
  void read_byte_level(const TokenizerDefinition& definition);
  void read_characters(const TokenizerDefinition& definition);
  bool every_character_is_known() const;
  void find_seams(const TokenizerDefinition& definition);
  void put_bytes(std::string_view word, std::vector<int32_t>& pieces) const;
  void put_characters(std::string_view word, std::vector<int32_t>& pieces) const;
  bool put_fallback(std::string_view character, std::vector<int32_t>& pieces) const;
  void merge_few(std::vector<int32_t>& pieces) const;
  void merge_many(Scratch& scratch) const;
  void push_candidate(Scratch& scratch, int32_t position) const;

  MergeTable merges_;
  bool byte_level_ = false;
  std::array<int32_t, 256> byte_ids_;   // of bytes, or of the byte tokens <0x00>; -1: no piece
  std::vector<int32_t> character_ids_;  // by code point; -1: no piece
  bool byte_fallback_ = false;
  int32_t unknown_id_ = -1;
  bool fuse_unknown_ = false;
  PieceTable whole_words_;           // only with ignore_merges
  std::optional<SeamFilter> seams_;  // where a word may be cut
};

}  // namespace borealis
