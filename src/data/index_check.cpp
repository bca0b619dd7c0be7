#include "data/index_check.h"

#include <fmt/format.h>

#include <vector>

#include "base/error.h"

namespace borealis {
namespace {

constexpr int64_t kWhole = 1 << 22;  // elements up to which all are looked at
constexpr int64_t kWindows = 64;
constexpr int64_t kWindow = 1 << 12;
constexpr int64_t kForget = 1 << 16;  // elements behind which pages are given back

[[noreturn]] void refuse(const std::string& name, const char* array, int64_t element) {
  throw Error(ErrorKind::kData,
              fmt::format("{}{}: element {} does not fit the data set", name, array, element));
}

using Forget = std::function<void()>;

// visit(i) for all of 0 .. size - 1, or for windows spread over them that hold both ends.
template <typename Visit>
void visit_some(int64_t size, const Forget& forget_read, Visit visit) {
  if (size <= kWhole) {
    for (int64_t i = 0; i < size; ++i) {
      visit(i);
      if (i % kForget == kForget - 1) forget_read();
    }
    forget_read();
    return;
  }
  for (int64_t w = 0; w < kWindows; ++w) {
    const auto first = static_cast<int64_t>(static_cast<double>(size - kWindow) *
                                            static_cast<double>(w) / (kWindows - 1));
    for (int64_t i = first; i < first + kWindow; ++i) visit(i);
    forget_read();
  }
}

void check_documents(const SampleIndexArrays& arrays, const SequenceRange& range, int64_t epochs,
                     const std::string& name, const Forget& forget_read) {
  constexpr const char* kArray = "_doc_idx.npy";
  const int64_t size = arrays.document_order.size();
  std::vector<uint32_t> seen(size <= kWhole ? static_cast<size_t>(range.count()) : 0, 0);
  visit_some(size, forget_read, [&](int64_t i) {
    const int64_t sequence = arrays.document_order[i];
    if (sequence < range.first || sequence >= range.last) refuse(name, kArray, i);
    if (seen.empty()) return;
    if (++seen[static_cast<size_t>(sequence - range.first)] > epochs) refuse(name, kArray, i);
  });
}

// The place that follows `place` by seq_length tokens; a position beyond the end if there is none.
StreamPlace place_after(StreamPlace place, const SampleIndexArrays& arrays,
                        PackedArray<int32_t> lengths, const SequenceRange& range,
                        int64_t seq_length) {
  const int64_t documents = arrays.document_order.size();
  place.offset += seq_length;
  while (place.position < documents) {
    const int64_t sequence = arrays.document_order[place.position];
    if (sequence < range.first || sequence >= range.last) return {documents, 0};
    const int64_t length = lengths[sequence];
    if (place.offset < length) return place;
    place.offset -= length;
    ++place.position;
  }
  return place;
}

void check_starts(const SampleIndexArrays& arrays, PackedArray<int32_t> lengths,
                  const SequenceRange& range, int64_t seq_length, const std::string& name,
                  const Forget& forget_read) {
  constexpr const char* kArray = "_sample_idx.npy";
  const int64_t documents = arrays.document_order.size();
  if (arrays.starts[0] != StreamPlace{0, 0}) refuse(name, kArray, 0);
  visit_some(arrays.starts.size() - 1, forget_read, [&](int64_t i) {
    const StreamPlace start = arrays.starts[i];
    if (start.position < 0 || start.position >= documents) refuse(name, kArray, i);
    const int64_t sequence = arrays.document_order[start.position];
    if (sequence < range.first || sequence >= range.last || start.offset < 0 ||
        start.offset > lengths[sequence]) {
      refuse(name, kArray, i);
    }
    const StreamPlace next = arrays.starts[i + 1];
    if (next.position >= documents ||
        place_after(start, arrays, lengths, range, seq_length) != next) {
      refuse(name, kArray, i + 1);
    }
  });
}

void check_order(const SampleOrderView& order, const std::string& name, const Forget& forget_read) {
  std::vector<bool> seen(order.size() <= kWhole ? static_cast<size_t>(order.size()) : 0, false);
  visit_some(order.size(), forget_read, [&](int64_t i) {
    const int64_t sample = order[i];
    if (sample < 0 || sample >= order.size()) refuse(name, "_shuffle_idx.npy", i);
    if (seen.empty()) return;
    if (seen[static_cast<size_t>(sample)]) refuse(name, "_shuffle_idx.npy", i);
    seen[static_cast<size_t>(sample)] = true;
  });
}

}  // namespace

void check_sample_index(const SampleIndexArrays& arrays, PackedArray<int32_t> lengths,
                        const SequenceRange& range, const SampleIndexShape& shape,
                        int64_t seq_length, const std::string& name, const Forget& forget_read) {
  check_documents(arrays, range, shape.epochs, name, forget_read);
  check_starts(arrays, lengths, range, seq_length, name, forget_read);
  check_order(arrays.sample_order, name, forget_read);
}

void check_corpus_order(const CorpusOrder& order, const std::vector<CorpusMember>& members,
                        const std::string& name) {
  const auto count = static_cast<int64_t>(members.size());
  const Forget forget_read = [&] { order.forget_pages(); };
  visit_some(order.sample_count(), forget_read, [&](int64_t i) {
    const auto [member, number] = order.at(i);
    const bool known = member >= 0 && member < count && number >= 0;
    if (!known || number >= members[static_cast<size_t>(member)].available) {
      refuse(name, "_index.npy and _sample_index.npy", i);
    }
  });
}

}  // namespace borealis
