// Whether arrays that came from files can be the index of a data set.
#pragma once

#include <functional>
#include <string>

#include "data/corpus_order.h"
#include "data/sample_index.h"

namespace borealis {

// Throws Error(kData) that begins with `name` if they cannot: documents outside of the split or not
// as often as there are epochs, starts that are not seq_length tokens apart, an order that is no
// permutation. Arrays of more than four million elements are examined at 64 places only.
// forget_read: called now and then, to give back the pages of what was looked at.
void check_sample_index(const SampleIndexArrays& arrays, PackedArray<int32_t> lengths,
                        const SequenceRange& range, const SampleIndexShape& shape,
                        int64_t seq_length, const std::string& name,
                        const std::function<void()>& forget_read);

// The same for the order of a corpus: members that do not exist, samples that they do not have.
void check_corpus_order(const CorpusOrder& order, const std::vector<CorpusMember>& members,
                        const std::string& name);

}  // namespace borealis
