// How long the documents of a data set are.
#pragma once

#include <cstdint>
#include <vector>

#include "data/indexed_dataset.h"

namespace borealis {

// Documents of [lowest, highest] tokens; the buckets are {0}, {1}, {2, 3}, {4 .. 7} and so on.
struct LengthBucket {
  int64_t lowest = 0;
  int64_t highest = 0;
  int64_t documents = 0;
  int64_t tokens = 0;
};

struct DocumentLengths {
  int64_t documents = 0;
  int64_t tokens = 0;
  int64_t shortest = 0;
  int64_t longest = 0;
  double mean = 0;
  // Exact, by the nearest rank: the least length that this share of the documents does not exceed.
  int64_t percentile_10 = 0;
  int64_t median = 0;
  int64_t percentile_90 = 0;
  int64_t percentile_99 = 0;
  std::vector<LengthBucket> buckets;  // from the shortest to the longest document
};

int64_t document_length(const IndexedDataset& data, int64_t document);  // of all its sequences
DocumentLengths measure_documents(const IndexedDataset& data);  // 8 bytes a document of memory

}  // namespace borealis
