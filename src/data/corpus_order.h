// The order of the samples of one corpus over its files (contract section 7.7, level 1): the files
// end to end, or blended by their sizes; then shuffled, if asked for.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/array_storage.h"
#include "data/packed_array.h"

namespace borealis {

// One file of the corpus, in list order.
struct CorpusMember {
  int64_t samples = 0;    // that it gives to the corpus; 0 for a file without weight
  int64_t available = 0;  // that its index has, >= samples
};

struct CorpusShuffling {
  bool blend = false;
  bool shuffle = false;
  uint32_t seed = 0;
};

class CorpusOrder {
 public:
  CorpusOrder() = default;  // of no samples
  // Throws Error(kData) if blending draws more samples of a member than it has, as it can where
  // members without weight take part.
  CorpusOrder(std::vector<CorpusMember> members, const CorpusShuffling& shuffling,
              const std::string& label);
  // Of the reference's two arrays, made before: member and sample number of every place.
  CorpusOrder(PackedArray<int64_t> members, PackedArray<int64_t> numbers,
              std::shared_ptr<const ArrayStorage> storage);

  struct Sample {
    int64_t member = 0;
    int64_t number = 0;  // of the member's SampleIndex
  };
  int64_t sample_count() const { return sample_count_; }
  Sample at(int64_t place) const;  // 0 <= place < sample_count()
  void forget_pages() const {
    if (storage_) storage_->forget_pages();
  }

  // Memory of the first constructor's result.
  static int64_t bytes(int64_t samples, const CorpusShuffling& shuffling);

 private:
  template <typename T>
  void fill(std::vector<T>& order, const CorpusShuffling& shuffling, const std::string& label);
  Sample sample_of_code(int64_t code) const;

  int64_t sample_count_ = 0;
  std::vector<CorpusMember> members_;
  std::vector<int64_t> first_code_;  // of each member's samples when numbered end to end; the total
  std::vector<uint32_t> order_;      // place -> code; empty: the identity over `samples`
  std::vector<uint64_t> wide_order_;
  PackedArray<int64_t> mapped_members_;
  PackedArray<int64_t> mapped_numbers_;
  std::shared_ptr<const ArrayStorage> storage_;  // of the mapped ones
};

}  // namespace borealis
