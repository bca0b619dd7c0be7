#include "tokenizer/bpe_model.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "base/check.h"
#include "tokenizer/byte_level.h"

namespace borealis {
namespace {

uint64_t pair_of(int32_t left, int32_t right) {
  return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
}

// For std heaps, whose top is the largest element.
bool comes_later(const BpeModel::Scratch::Candidate& a, const BpeModel::Scratch::Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
}

}  // namespace

BpeModel::MergeTable::MergeTable(const std::vector<Merge>& merges) {
  const size_t size = std::bit_ceil(2 * merges.size() + 2);
  shift_ = 64 - std::countr_zero(size);
  entries_.resize(size);
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const Merge& merge = merges[rank];
    const uint64_t pair = pair_of(merge.left, merge.right);
    // A pair that is listed twice has its last rank.
    entries_[slot(pair)] = {pair, static_cast<int32_t>(rank), merge.result};
  }
}

// The slot that holds `pair`, or the empty one where it belongs.
size_t BpeModel::MergeTable::slot(uint64_t pair) const {
  size_t place = (pair * 0x9E3779B97F4A7C15u) >> shift_;
  while (entries_[place].pair != kEmpty && entries_[place].pair != pair) {
    place = (place + 1) & (entries_.size() - 1);
  }
  return place;
}

const BpeModel::MergeTable::Entry* BpeModel::MergeTable::find(int32_t left, int32_t right) const {
  const Entry& entry = entries_[slot(pair_of(left, right))];
  return entry.pair == kEmpty ? nullptr : &entry;
}

BpeModel::BpeModel(const TokenizerDefinition& definition)
    : merges_(definition.merges),
      byte_ids_(256, -1),
      unknown_id_(definition.unknown_id.value_or(-1)),
      fuse_unknown_(definition.fuse_unknown) {
  for (size_t id = 0; id < definition.pieces.size(); ++id) {
    const auto bytes = from_byte_level(definition.pieces[id]);
    if (!bytes || bytes->empty()) continue;
    if (bytes->size() == 1)
      byte_ids_[static_cast<uint8_t>(bytes->front())] = static_cast<int32_t>(id);
    if (definition.ignore_merges) word_ids_.emplace(*bytes, static_cast<int32_t>(id));
  }
}

void BpeModel::put_bytes(std::string_view word, std::vector<Scratch::Symbol>& symbols) const {
  symbols.clear();
  bool after_unknown = false;
  for (const char byte : word) {
    int32_t id = byte_ids_[static_cast<uint8_t>(byte)];
    const bool unknown = id < 0;
    if (unknown) {
      // As in the tokenizers library: without an unknown token the byte is lost.
      if (unknown_id_ < 0 || (fuse_unknown_ && after_unknown)) continue;
      id = unknown_id_;
    }
    after_unknown = unknown;
    const auto position = static_cast<int32_t>(symbols.size());
    symbols.push_back({.id = id, .previous = position - 1, .next = position + 1});
  }
  if (!symbols.empty()) symbols.back().next = -1;
}

void BpeModel::push_candidate(Scratch& scratch, int32_t position) const {
  if (position < 0) return;
  const Scratch::Symbol& symbol = scratch.symbols[static_cast<size_t>(position)];
  if (symbol.next < 0) return;
  const auto* merge = merges_.find(symbol.id, scratch.symbols[static_cast<size_t>(symbol.next)].id);
  if (merge == nullptr) return;
  scratch.heap.push_back({merge->rank, position, merge->result});
  std::push_heap(scratch.heap.begin(), scratch.heap.end(), comes_later);
}

void BpeModel::encode_word(std::string_view word, Scratch& scratch,
                           std::vector<int32_t>& ids) const {
  CHECK(word.size() < static_cast<size_t>(std::numeric_limits<int32_t>::max()));
  if (!word_ids_.empty()) {
    const auto found = word_ids_.find(std::string(word));
    if (found != word_ids_.end()) {
      ids.push_back(found->second);
      return;
    }
  }
  auto& [symbols, heap] = scratch;
  put_bytes(word, symbols);
  heap.clear();
  for (size_t i = 0; i < symbols.size(); ++i) push_candidate(scratch, static_cast<int32_t>(i));
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), comes_later);
    const Scratch::Candidate candidate = heap.back();
    heap.pop_back();
    Scratch::Symbol& left = symbols[static_cast<size_t>(candidate.position)];
    if (!left.alive || left.next < 0) continue;
    Scratch::Symbol& right = symbols[static_cast<size_t>(left.next)];
    // Stale unless the pair that is there now still makes the same piece.
    const auto* merge = merges_.find(left.id, right.id);
    if (merge == nullptr || merge->result != candidate.result) continue;
    left.id = candidate.result;
    left.next = right.next;
    right.alive = false;
    if (right.next >= 0) symbols[static_cast<size_t>(right.next)].previous = candidate.position;
    push_candidate(scratch, left.previous);
    push_candidate(scratch, candidate.position);
  }
  for (const Scratch::Symbol& symbol : symbols) {
    if (symbol.alive) ids.push_back(symbol.id);
  }
}

}  // namespace borealis
