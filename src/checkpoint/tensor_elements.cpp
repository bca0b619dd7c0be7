#include "checkpoint/tensor_elements.h"

#include <algorithm>

#include "base/check.h"

namespace borealis {

int64_t TensorElements::element_count() const {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;  // the file's reader has checked it
  return count;
}

TensorElements elements_of(const ModelWeights& weights, std::string_view name) {
  const TensorView* view = weights.find(name);
  CHECK(view != nullptr, name);
  return {.name = view->name,
          .dtype = view->dtype,
          .shape = view->shape,
          .read = [&weights, own_name = view->name](int64_t begin, std::span<float> out) {
            weights.read_part(own_name, begin, out);
          }};
}

void for_each_part(const TensorElements& tensor, int64_t end,
                   const std::function<void(int64_t, std::span<const float>)>& part) {
  std::vector<float> values(static_cast<size_t>(std::min(end, kElementsAtATime)));
  for (int64_t begin = 0; begin < end; begin += kElementsAtATime) {
    const auto count = static_cast<size_t>(std::min(kElementsAtATime, end - begin));
    const std::span<float> out(values.data(), count);
    tensor.read(begin, out);
    part(begin, out);
  }
}

}  // namespace borealis
