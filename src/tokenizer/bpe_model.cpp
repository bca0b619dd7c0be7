#include "tokenizer/bpe_model.h"

#include <algorithm>

#include "base/check.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/byte_tokens.h"
#include "tokenizer/long_word_merger.h"

namespace borealis {
namespace {

// Up to so many pieces, looking through all pairs for the lowest rank beats a heap.
constexpr size_t kFewPieces = 48;
constexpr int32_t kNoRank = std::numeric_limits<int32_t>::max();

// For std heaps, whose top is the largest element.
bool comes_later(const BpeModel::Scratch::Candidate& a, const BpeModel::Scratch::Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
}

bool is_one_character(std::string_view piece) {
  if (piece.empty()) return false;
  const Utf8Sequence first = first_utf8_sequence(piece);
  return first.status == Utf8Sequence::Status::kValid && first.length == piece.size();
}

// By id: whether the model itself has such a piece.
std::vector<bool> pieces_of_the_model(const TokenizerDefinition& definition) {
  std::vector<bool> own;
  for (const std::string& piece : definition.pieces) own.push_back(!piece.empty());
  for (const int32_t id : definition.added_only_ids) own[static_cast<size_t>(id)] = false;
  return own;
}

}  // namespace

BpeModel::BpeModel(const TokenizerDefinition& definition)
    : merges_(definition.merges),
      byte_level_(definition.byte_level),
      byte_fallback_(definition.byte_fallback),
      unknown_id_(definition.unknown_id.value_or(-1)),
      fuse_unknown_(definition.fuse_unknown) {
  byte_ids_.fill(-1);
  if (byte_level_) {
    read_byte_level(definition);
  } else {
    read_characters(definition);
    find_seams(definition);
  }
}

void BpeModel::read_byte_level(const TokenizerDefinition& definition) {
  const std::vector<bool> own = pieces_of_the_model(definition);
  for (size_t id = 0; id < own.size(); ++id) {
    if (!own[id]) continue;
    const auto bytes = from_byte_level(definition.pieces[id]);
    if (!bytes || bytes->empty()) continue;
    if (bytes->size() == 1) {
      byte_ids_[static_cast<uint8_t>(bytes->front())] = static_cast<int32_t>(id);
    }
    if (definition.ignore_merges) whole_words_.insert(*bytes, static_cast<int32_t>(id));
  }
}

void BpeModel::read_characters(const TokenizerDefinition& definition) {
  const std::vector<bool> own = pieces_of_the_model(definition);
  for (size_t id = 0; id < own.size(); ++id) {
    if (!own[id]) continue;
    const std::string& piece = definition.pieces[id];
    if (definition.ignore_merges) {
      whole_words_.insert(piece, static_cast<int32_t>(id));
    }
    if (is_one_character(piece)) {
      const uint32_t code_point = code_point_at(piece, 0).value;
      if (code_point >= character_ids_.size()) character_ids_.resize(code_point + 1, -1);
      character_ids_[code_point] = static_cast<int32_t>(id);
    } else if (const auto byte = byte_of_token(piece); byte && byte_fallback_) {
      // The library looks for the upper-case spelling alone.
      if (piece == byte_token(*byte)) byte_ids_[*byte] = static_cast<int32_t>(id);
    }
  }
}

// Neither dropped nor unknown: either of them changes what stands beside a character.
bool BpeModel::every_character_is_known() const {
  if (!byte_fallback_) return false;
  for (size_t byte = 0; byte < 0xf5; ++byte) {
    if (byte == 0xc0 || byte == 0xc1) continue;  // in no character
    const bool is_piece =
        byte < std::min<size_t>(0x80, character_ids_.size()) && character_ids_[byte] >= 0;
    if (!is_piece && byte_ids_[byte] < 0) return false;
  }
  return true;
}

void BpeModel::find_seams(const TokenizerDefinition& definition) {
  // A word that is a piece must stay whole.
  if (definition.ignore_merges || !every_character_is_known()) return;
  SeamFilter seams;
  for (const Merge& merge : definition.merges) {
    const std::string& left = definition.pieces[static_cast<size_t>(merge.left)];
    const std::string& right = definition.pieces[static_cast<size_t>(merge.right)];
    // Pieces made of byte tokens have names that are not their characters.
    const bool byte_token_left =
        left.size() >= 6 && byte_of_token(std::string_view(left).substr(left.size() - 6));
    if (byte_token_left || byte_of_token(std::string_view(right).substr(0, 6))) return;
    seams.add(last_code_point(left), code_point_at(right, 0).value);
  }
  seams_ = std::move(seams);
}

void BpeModel::put_bytes(std::string_view word, std::vector<int32_t>& pieces) const {
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
    pieces.push_back(id);
  }
}

bool BpeModel::put_fallback(std::string_view character, std::vector<int32_t>& pieces) const {
  const auto id_of = [this](char byte) { return byte_ids_[static_cast<uint8_t>(byte)]; };
  if (!byte_fallback_) return false;
  if (!std::ranges::all_of(character, [&](char byte) { return id_of(byte) >= 0; })) return false;
  for (const char byte : character) pieces.push_back(id_of(byte));
  return true;
}

// An unknown token waits for the next piece that is one: the library puts the byte tokens of
// characters between the two before it.
void BpeModel::put_characters(std::string_view word, std::vector<int32_t>& pieces) const {
  bool unknown_waits = false;
  for (size_t place = 0; place < word.size();) {
    const CodePoint point = code_point_at(word, place);
    const std::string_view character = word.substr(place, point.length);
    place += point.length;
    const int32_t id = point.value < character_ids_.size() ? character_ids_[point.value] : -1;
    if (id >= 0) {
      if (unknown_waits) pieces.push_back(unknown_id_);
      unknown_waits = false;
      pieces.push_back(id);
    } else if (!put_fallback(character, pieces) && unknown_id_ >= 0) {
      if (unknown_waits && !fuse_unknown_) pieces.push_back(unknown_id_);
      unknown_waits = true;
    }
  }
  if (unknown_waits) pieces.push_back(unknown_id_);
}

void BpeModel::encode_word(std::string_view word, Scratch& scratch,
                           std::vector<int32_t>& ids) const {
  CHECK(word.size() <= kLongestWord);
  std::vector<int32_t>& pieces = scratch.pieces;
  pieces.clear();
  pieces.reserve(word.size());
  if (byte_level_) {
    put_bytes(word, pieces);
  } else {
    put_characters(word, pieces);
  }
  if (pieces.size() <= kFewPieces) {
    merge_few(pieces);
  } else if (pieces.size() < LongWordMerger::kLongWord) {
    merge_many(scratch);
  } else {
    LongWordMerger(merges_, pieces).run();
  }
  if (ids.empty() && 2 * pieces.size() > pieces.capacity()) {
    ids.swap(pieces);  // not twice in memory
  } else {
    ids.insert(ids.end(), pieces.begin(), pieces.end());
  }
  if (pieces.capacity() > LongWordMerger::kLongWord) pieces = {};  // few words are like this one
}

void BpeModel::merge_few(std::vector<int32_t>& pieces) const {
  struct Pair {
    int32_t rank;
    int32_t result;
  };
  std::array<Pair, kFewPieces> pairs;  // of piece i and the one after it
  size_t count = pieces.size();
  const auto look_up = [&](size_t i) {
    const auto* merge = merges_.find(pieces[i], pieces[i + 1]);
    pairs[i] = merge == nullptr ? Pair{kNoRank, 0} : Pair{merge->rank, merge->result};
  };
  for (size_t i = 0; i + 1 < count; ++i) look_up(i);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (pairs[i].rank < pairs[best].rank) best = i;
    }
    if (pairs[best].rank == kNoRank) break;
    pieces[best] = pairs[best].result;
    --count;
    for (size_t i = best + 1; i < count; ++i) {
      pieces[i] = pieces[i + 1];
      pairs[i - 1] = pairs[i];
    }
    if (best > 0) look_up(best - 1);
    if (best + 1 < count) look_up(best);
  }
  pieces.resize(count);
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

void BpeModel::merge_many(Scratch& scratch) const {
  auto& [pieces, symbols, heap] = scratch;
  symbols.clear();
  heap.clear();
  for (const int32_t id : pieces) {
    const auto position = static_cast<int32_t>(symbols.size());
    symbols.push_back({.id = id, .previous = position - 1, .next = position + 1});
  }
  symbols.back().next = -1;
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
  pieces.clear();
  for (const Scratch::Symbol& symbol : symbols) {
    if (symbol.alive) pieces.push_back(symbol.id);
  }
}

}  // namespace borealis
