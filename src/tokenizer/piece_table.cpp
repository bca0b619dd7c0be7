#include "tokenizer/piece_table.h"

#include <bit>

#include "base/check.h"

namespace borealis {

// The slot that holds `piece`, or the empty one where it belongs.
size_t PieceTable::slot(std::string_view piece, uint64_t hash) const {
  const size_t mask = slots_.size() - 1;
  const auto short_hash = static_cast<uint32_t>(hash);
  for (size_t place = short_hash & mask;; place = (place + 1) & mask) {
    const Slot& here = slots_[place];
    if (here.id == kNone) return place;
    if (here.hash == short_hash && here.length == piece.size() &&
        std::memcmp(texts_.data() + here.begin, piece.data(), piece.size()) == 0) {
      return place;
    }
  }
}

void PieceTable::resize(size_t slots) {
  std::vector<Slot> old(slots);
  old.swap(slots_);
  for (const Slot& entry : old) {
    if (entry.id == kNone) continue;
    size_t place = entry.hash & (slots - 1);
    while (slots_[place].id != kNone) place = (place + 1) & (slots - 1);
    slots_[place] = entry;
  }
}

void PieceTable::reserve(size_t pieces) {
  const size_t slots = std::bit_ceil(2 * pieces + 2);
  if (slots > slots_.size()) resize(slots);
}

void PieceTable::insert(std::string_view piece, int32_t id) {
  CHECK(id >= 0 && texts_.size() + piece.size() < UINT32_MAX);
  if (2 * (size_ + 1) > slots_.size()) resize(2 * slots_.size());
  const uint64_t hash = hash_bytes(piece);
  Slot& entry = slots_[slot(piece, hash)];
  if (entry.id == kNone) {
    entry = {static_cast<uint32_t>(hash), static_cast<uint32_t>(texts_.size()),
             static_cast<uint32_t>(piece.size()), id};
    texts_ += piece;
    ++size_;
  }
  entry.id = id;
}

}  // namespace borealis
