// From the text of a piece to its id: a hash table that keeps the texts itself.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace borealis {

// Multiplies 64 by 64 bits and folds both halves of the product together.
inline uint64_t fold_product(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline uint64_t hash_bytes(std::string_view bytes) {
  constexpr uint64_t kMultiplier = 0x9E3779B97F4A7C15u;
  uint64_t hash = bytes.size() * kMultiplier;
  uint64_t word = 0;
  for (; bytes.size() > 8; bytes.remove_prefix(8)) {
    std::memcpy(&word, bytes.data(), 8);
    hash = fold_product(hash ^ word, kMultiplier);
  }
  word = 0;
  std::memcpy(&word, bytes.data(), bytes.size());
  return fold_product(hash ^ word, 0xD6E8FEB86659FD93u);
}

class PieceTable {
 public:
  static constexpr int32_t kNone = -1;

  PieceTable() : slots_(kFirstSlots) {}
  void reserve(size_t pieces);
  // Of a piece that is there already, the new id counts. Together the texts have less than 4 GiB.
  void insert(std::string_view piece, int32_t id);
  int32_t find(std::string_view piece) const { return slots_[slot(piece, hash_bytes(piece))].id; }
  bool empty() const { return size_ == 0; }

 private:
  static constexpr size_t kFirstSlots = 16;
  struct Slot {
    uint32_t hash = 0;
    uint32_t begin = 0;  // in texts_
    uint32_t length = 0;
    int32_t id = kNone;
  };
  size_t slot(std::string_view piece, uint64_t hash) const;
  void resize(size_t slots);

  std::vector<Slot> slots_;  // a power of two, at most half of them taken; linear probing
  std::string texts_;
  size_t size_ = 0;
};

}  // namespace borealis
