#include "parallel/group_buffers.h"

#include <algorithm>

#include "base/rounding.h"

namespace borealis {
namespace {

// So much that a link's latency does not count, and the sums between two exchanges little.
constexpr int64_t kBlockElements = (int64_t{64} << 20) / sizeof(float);

}  // namespace

GroupBuffers::GroupBuffers(int64_t ranks, const std::optional<RowGradientsShape>& rows,
                           DType travels, int64_t largest_unit, Arena& device)
    : travels_(travels) {
  int64_t block = std::min(kBlockElements, largest_unit);
  if (rows) block = std::max(block, rows->row_size);
  share_ = round_up(divide_up(block, ranks), kShareMultiple);
  const int64_t width = static_cast<int64_t>(dtype_bytes(travels));
  received_ = device.take<std::byte>(ranks * share_ * width);
  if (travels == DType::kBF16) sent_ = device.take<bf16>(ranks * share_);
  if (!rows) return;
  rows_ = std::max<int64_t>(1, std::min(ranks * share_ / rows->row_size, rows->most_rows));
  packed_rows_ = device.take<float>(rows_ * rows->row_size);
  row_places_ = device.take<int32_t>(rows_);
}

}  // namespace borealis
