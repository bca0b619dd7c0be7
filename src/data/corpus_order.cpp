#include "data/corpus_order.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "data/blending.h"
#include "data/numpy_random.h"

namespace borealis {

CorpusOrder::CorpusOrder(std::vector<CorpusMember> members, const CorpusShuffling& shuffling,
                         const std::string& label)
    : members_(std::move(members)), first_code_{0} {
  const bool reordered = shuffling.blend || shuffling.shuffle;
  for (const CorpusMember& member : members_) {
    CHECK(member.samples <= member.available);
    sample_count_ += member.samples;
    // Blending can draw a member more often than its share, so codes cover all that it has.
    first_code_.push_back(first_code_.back() + (reordered ? member.available : member.samples));
  }
  if (!reordered || sample_count_ == 0) return;
  if (first_code_.back() <= std::numeric_limits<uint32_t>::max()) {
    fill(order_, shuffling, label);
  } else {
    fill(wide_order_, shuffling, label);
  }
}

CorpusOrder::CorpusOrder(PackedArray<int64_t> members, PackedArray<int64_t> numbers,
                         std::shared_ptr<const ArrayStorage> storage)
    : sample_count_(members.size()),
      mapped_members_(members),
      mapped_numbers_(numbers),
      storage_(std::move(storage)) {
  CHECK(members.size() == numbers.size());
}

template <typename T>
void CorpusOrder::fill(std::vector<T>& order, const CorpusShuffling& shuffling,
                       const std::string& label) {
  order.reserve(static_cast<size_t>(sample_count_));
  if (shuffling.blend) {
    std::vector<double> weights;
    for (const CorpusMember& member : members_) {
      weights.push_back(static_cast<double>(member.samples) / static_cast<double>(sample_count_));
    }
    GreedyBlend blend(std::move(weights));
    for (int64_t place = 0; place < sample_count_; ++place) {
      const auto [member, number] = blend.next();
      const auto m = static_cast<size_t>(member);
      if (number >= members_[m].available) {
        throw Error(ErrorKind::kData,
                    fmt::format("blending the corpus {} takes sample {} of its file number {}, "
                                "which has {} (the reference fails there, too)",
                                label, number, member + 1, members_[m].available),
                    "take files of weight 0 off the data list");
      }
      order.push_back(static_cast<T>(first_code_[m] + number));
    }
  } else {
    for (size_t m = 0; m < members_.size(); ++m) {
      for (int64_t number = 0; number < members_[m].samples; ++number) {
        order.push_back(static_cast<T>(first_code_[m] + number));
      }
    }
  }
  // Shuffling the codes is the same as shuffling places and looking the codes up.
  if (shuffling.shuffle) NumpyRandom(shuffling.seed).shuffle(std::span<T>(order));
}

CorpusOrder::Sample CorpusOrder::sample_of_code(int64_t code) const {
  const auto above = std::upper_bound(first_code_.begin(), first_code_.end(), code);
  const auto member = static_cast<size_t>(above - first_code_.begin() - 1);
  return {static_cast<int64_t>(member), code - first_code_[member]};
}

CorpusOrder::Sample CorpusOrder::at(int64_t place) const {
  CHECK(place >= 0 && place < sample_count_);
  if (mapped_members_.size() > 0) return {mapped_members_[place], mapped_numbers_[place]};
  const auto index = static_cast<size_t>(place);
  if (!order_.empty()) return sample_of_code(order_[index]);
  if (!wide_order_.empty()) return sample_of_code(static_cast<int64_t>(wide_order_[index]));
  return sample_of_code(place);
}

int64_t CorpusOrder::bytes(int64_t samples, const CorpusShuffling& shuffling) {
  if (!shuffling.blend && !shuffling.shuffle) return 0;
  return samples * (samples <= std::numeric_limits<uint32_t>::max() ? 4 : 8);
}

}  // namespace borealis
