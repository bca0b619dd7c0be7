// How two stored tensors differ, element by element, in f32 whatever they are stored in.
#pragma once

#include <cstdint>

#include "checkpoint/tensor_elements.h"

namespace borealis {

struct TensorDifference {
  int64_t elements = 0;
  int64_t different = 0;    // elements of another value; two NaN are the same, 0 and -0 too
  double max_absolute = 0;  // max |a - b|; infinity where only one of them is finite
  double relative = 0;      // ||a - b|| / ||a||, L2 norms over all elements; infinity if a is 0
};

// The shapes must be equal (CHECKed).
TensorDifference compare_tensors(const TensorElements& a, const TensorElements& b);

struct NonFiniteCount {
  int64_t nan = 0;
  int64_t infinite = 0;
};
NonFiniteCount count_non_finite(const TensorElements& tensor);

// `tensor`, which adds to `count` what it reads; elements that are read again count once if every
// reading begins at the first of them. `count` must outlive its use.
TensorElements counting_non_finite(TensorElements tensor, NonFiniteCount& count);

}  // namespace borealis
