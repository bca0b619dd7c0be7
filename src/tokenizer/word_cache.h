// Remembers the ids of short words, for one thread. Most words of a text are few, and looking one
// up takes a hundredth of the time of merging its characters.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace borealis {

class WordCache {
 public:
  static constexpr size_t kLongestWord = 64;  // bytes

  WordCache();
  // Words have 1 to kLongestWord bytes. The ids are valid until the next insert().
  std::optional<std::span<const int32_t>> find(std::string_view word) const;
  // A word that is not there. Forgets everything when there are too many.
  void insert(std::string_view word, std::span<const int32_t> ids);

 private:
  // Up to 15 bytes, the key is the word itself; of longer ones it is their hash and their place in
  // texts_. The top byte of `high` is the length: 0 in a slot that is free.
  struct Key {
    uint64_t low = 0;
    uint64_t high = 0;
  };
  struct Slot {
    Key key;
    uint32_t begin = 0;  // in ids_
    uint32_t count = 0;
  };
  static Key make_key(std::string_view word);
  static uint64_t hash(const Key& key);
  bool matches(const Slot& slot, const Key& key, std::string_view word) const;
  size_t find_slot(const Key& key, std::string_view word) const;
  void grow();
  void forget();

  std::vector<Slot> slots_;  // a power of two, at most half of them taken
  size_t size_ = 0;
  std::vector<int32_t> ids_;
  std::string texts_;  // of words longer than 15 bytes
};

}  // namespace borealis
