// Where a text may be cut before it is merged. A merge removes the seam between two characters a
// and b only if its left piece ends in a and its right piece begins with b. Where no merge has such
// a seam, what stands left and right of it never comes together, and the merges of one side do not
// depend on the other: both sides can be encoded for themselves. Of models without a word splitter
// (Gemma), whose lines are single words, this makes words again.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace borealis {

class SeamFilter {
 public:
  SeamFilter() : bits_(kWords) {}
  void add(uint32_t last, uint32_t first) { bits_[word(last, first)] |= bit(last, first); }
  // Whether some merge may join a piece that ends in `last` to one that begins with `first`. Rarely
  // true without need, which costs a cut; never false for such a pair.
  bool may_join(uint32_t last, uint32_t first) const {
    return (bits_[word(last, first)] & bit(last, first)) != 0;
  }

 private:
  // 128 KiB, for it is asked of every character. ASCII pairs have bits of their own.
  static constexpr int kBits = 20;
  static constexpr size_t kWords = (size_t{1} << kBits) / 64;
  static uint32_t index(uint32_t last, uint32_t first) {
    if ((last | first) < 0x80) return last << 7 | first;
    return (last * 0x9E3779B1u ^ first * 0x85EBCA77u) * 0xC2B2AE3Du >> (32 - kBits);
  }
  static size_t word(uint32_t last, uint32_t first) { return index(last, first) >> 6; }
  static uint64_t bit(uint32_t last, uint32_t first) {
    return uint64_t{1} << (index(last, first) & 63);
  }
  std::vector<uint64_t> bits_;
};

}  // namespace borealis
