#include "data/document_lengths.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace borealis {
namespace {

size_t bucket_of(int64_t length) { return std::bit_width(static_cast<uint64_t>(length)); }

int64_t lowest_of(size_t bucket) { return bucket == 0 ? 0 : int64_t{1} << (bucket - 1); }

std::vector<LengthBucket> fill_buckets(const std::vector<int64_t>& sorted) {
  std::vector<LengthBucket> buckets;
  const size_t first = bucket_of(sorted.front());
  for (size_t bucket = first; bucket <= bucket_of(sorted.back()); ++bucket) {
    buckets.push_back({lowest_of(bucket), lowest_of(bucket + 1) - 1, 0, 0});
  }
  for (const int64_t length : sorted) {
    LengthBucket& bucket = buckets[bucket_of(length) - first];
    ++bucket.documents;
    bucket.tokens += length;
  }
  return buckets;
}

}  // namespace

int64_t document_length(const IndexedDataset& data, int64_t document) {
  int64_t length = 0;
  const auto index = data.document_index();
  for (int64_t i = index[document]; i < index[document + 1]; ++i) length += data.lengths()[i];
  return length;
}

DocumentLengths measure_documents(const IndexedDataset& data) {
  std::vector<int64_t> sorted(static_cast<size_t>(data.document_count()));
  for (size_t i = 0; i < sorted.size(); ++i) {
    sorted[i] = document_length(data, static_cast<int64_t>(i));
  }
  DocumentLengths lengths;
  lengths.documents = data.document_count();
  lengths.tokens = data.token_count();
  if (sorted.empty()) return lengths;
  std::ranges::sort(sorted);
  const auto count = static_cast<double>(sorted.size());
  const auto percentile = [&](double share) {
    return sorted[static_cast<size_t>(std::max(std::ceil(share * count) - 1, 0.0))];
  };
  lengths.shortest = sorted.front();
  lengths.longest = sorted.back();
  lengths.mean = static_cast<double>(lengths.tokens) / count;
  lengths.percentile_10 = percentile(0.10);
  lengths.median = percentile(0.50);
  lengths.percentile_90 = percentile(0.90);
  lengths.percentile_99 = percentile(0.99);
  lengths.buckets = fill_buckets(sorted);
  return lengths;
}

}  // namespace borealis
