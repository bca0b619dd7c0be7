#include "parallel/gradient_sum.h"

#include <algorithm>
#include <unordered_set>
#include <vector>

#include "comm/collectives.h"

namespace borealis {
namespace {

constexpr const char* kWhat = "adding gradients";
constexpr int64_t kRowsAtATime = 256;  // of an embedding's, summed together

// The ids of all rows that any rank has, in the order of the ranks and of their first use there.
std::vector<int32_t> rows_of_all(Communicator& ranks, const RowGradients& rows) {
  const std::vector<int64_t> counts = all_values(ranks, rows.used_rows(), kWhat);
  const auto most = static_cast<size_t>(std::ranges::max(counts));
  std::vector<int32_t> mine(most), all(most * counts.size());
  std::ranges::copy(rows.ids(), mine.begin());
  ranks.all_gather(std::span<const int32_t>(mine), std::span<int32_t>(all), kWhat);
  std::vector<int32_t> ids;
  std::unordered_set<int32_t> seen;
  for (size_t r = 0; r < counts.size(); ++r) {
    for (const int32_t id :
         std::span<const int32_t>(all).subspan(r * most, static_cast<size_t>(counts[r]))) {
      if (seen.insert(id).second) ids.push_back(id);
    }
  }
  return ids;
}

}  // namespace

void sum_row_gradients(Communicator& ranks, RowGradients& rows) {
  if (ranks.size() == 1) return;
  const std::vector<int32_t> ids = rows_of_all(ranks, rows);
  const int64_t row_size = rows.shape().row_size;
  const int64_t at_a_time = std::min(kRowsAtATime, rows.shape().slots_at_a_time);
  std::vector<float> values(static_cast<size_t>(at_a_time * row_size));
  for (int64_t at = 0; at < std::ssize(ids); at += at_a_time) {
    const std::span<const int32_t> some = std::span<const int32_t>(ids).subspan(
        static_cast<size_t>(at), static_cast<size_t>(std::min(at_a_time, std::ssize(ids) - at)));
    const std::span<const int32_t> places = rows.slots(some);  // zeros where this rank has none
    for (size_t i = 0; i < places.size(); ++i) {
      std::copy_n(rows.values() + places[i] * row_size, row_size,
                  values.begin() + static_cast<int64_t>(i) * row_size);
    }
    all_reduce_sum(ranks,
                   std::span<float>(values).first(places.size() * static_cast<size_t>(row_size)),
                   kWhat);
    for (size_t i = 0; i < places.size(); ++i) {
      std::copy_n(values.begin() + static_cast<int64_t>(i) * row_size, row_size,
                  rows.values() + places[i] * row_size);
    }
  }
}

void sum_dense_gradients(Communicator& ranks, const ParameterBuffers& parameters) {
  const auto elements = static_cast<size_t>(parameters.gradient_elements());
  all_reduce_sum(ranks, std::span<float>(parameters.gradients, elements), kWhat);
}

}  // namespace borealis
