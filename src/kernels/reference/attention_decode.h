// Attention of one query over a sequence's keys and values, in double: the textbook's softmax. The
// twin that attention_decode (kernels/attention.h) is tested against.
#pragma once

#include <vector>

namespace borealis::reference {

// query [C]; keys, values [T, C]; returns [C].
std::vector<double> attention_decode(const std::vector<double>& query,
                                     const std::vector<double>& keys,
                                     const std::vector<double>& values);

}  // namespace borealis::reference
