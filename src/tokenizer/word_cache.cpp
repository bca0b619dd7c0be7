#include "tokenizer/word_cache.h"

#include <cstring>

#include "base/check.h"
#include "tokenizer/piece_table.h"

namespace borealis {
namespace {

constexpr size_t kFirstSlots = 1 << 10;
constexpr size_t kMostWords = 1 << 17;
constexpr size_t kInlineBytes = 15;
constexpr int kLengthShift = 56;
constexpr uint64_t kPlaceMask = (uint64_t{1} << kLengthShift) - 1;

template <typename T>
uint64_t load(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

}  // namespace

WordCache::WordCache() : slots_(kFirstSlots) {}

// Two loads that may overlap hold all bytes of a short word, and none beyond it is read.
WordCache::Key WordCache::make_key(std::string_view word) {
  const char* bytes = word.data();
  const size_t size = word.size();
  const uint64_t length = uint64_t{size} << kLengthShift;
  if (size > kInlineBytes) return {hash_bytes(word), length};
  if (size >= 8) return {load<uint64_t>(bytes), load<uint64_t>(bytes + size - 8) >> 8 | length};
  if (size >= 4) return {load<uint32_t>(bytes) | load<uint32_t>(bytes + size - 4) << 32, length};
  return {load<uint8_t>(bytes) | load<uint8_t>(bytes + size / 2) << 8 |
              load<uint8_t>(bytes + size - 1) << 16,
          length};
}

uint64_t WordCache::hash(const Key& key) {
  const bool inlined = key.high >> kLengthShift <= kInlineBytes;
  return inlined ? fold_product(key.low ^ 0x9E3779B97F4A7C15u, key.high ^ 0xD6E8FEB86659FD93u)
                 : key.low;
}

bool WordCache::matches(const Slot& slot, const Key& key, std::string_view word) const {
  if (slot.key.low != key.low) return false;
  if (word.size() <= kInlineBytes) return slot.key.high == key.high;
  return slot.key.high >> kLengthShift == word.size() &&
         std::memcmp(texts_.data() + (slot.key.high & kPlaceMask), word.data(), word.size()) == 0;
}

// The slot of the word, or the free one where it belongs.
size_t WordCache::find_slot(const Key& key, std::string_view word) const {
  const size_t mask = slots_.size() - 1;
  size_t place = hash(key) & mask;
  while (slots_[place].key.high != 0 && !matches(slots_[place], key, word)) {
    place = (place + 1) & mask;
  }
  return place;
}

std::optional<std::span<const int32_t>> WordCache::find(std::string_view word) const {
  const Slot& slot = slots_[find_slot(make_key(word), word)];
  if (slot.key.high == 0) return std::nullopt;
  return std::span(ids_).subspan(slot.begin, slot.count);
}

void WordCache::insert(std::string_view word, std::span<const int32_t> ids) {
  CHECK(!word.empty() && word.size() <= kLongestWord);
  if (size_ == kMostWords) forget();
  if (2 * (size_ + 1) > slots_.size()) grow();
  Key key = make_key(word);
  Slot& slot = slots_[find_slot(key, word)];
  if (word.size() > kInlineBytes) {
    key.high |= texts_.size();
    texts_ += word;
  }
  slot = {key, static_cast<uint32_t>(ids_.size()), static_cast<uint32_t>(ids.size())};
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  ++size_;
}

void WordCache::grow() {
  std::vector<Slot> old(2 * slots_.size());
  old.swap(slots_);
  for (const Slot& entry : old) {
    if (entry.key.high == 0) continue;
    size_t place = hash(entry.key) & (slots_.size() - 1);
    while (slots_[place].key.high != 0) place = (place + 1) & (slots_.size() - 1);
    slots_[place] = entry;
  }
}

void WordCache::forget() {
  slots_.assign(slots_.size(), {});
  ids_.clear();
  texts_.clear();
  size_ = 0;
}

}  // namespace borealis
