#include "parallel/sequence_exchange.h"

#include <cstring>
#include <numeric>
#include <span>
#include <vector>

#include "base/stopwatch.h"

namespace borealis {
namespace {

// Rows of a part, whole, and the same in P blocks [P, tokens, row / P] of a rank's heads each.
enum class Cut { kIntoBlocks, kIntoRows };

template <Cut cut>
void copy_blocks(const HeadRows& rows, int64_t parts, const std::byte* from, std::byte* to) {
  const int64_t row_bytes = rows.row_bytes();
  const int64_t block_row = row_bytes / parts, block = rows.tokens * block_row;
  const int64_t sequence = rows.tokens * row_bytes;
#pragma omp parallel for schedule(static) collapse(2)
  for (int64_t b = 0; b < rows.batch_size; ++b) {
    for (int64_t t = 0; t < rows.tokens; ++t) {
      int64_t in_row = b * sequence + t * row_bytes;
      int64_t in_block = b * sequence + t * block_row;
      for (const int64_t heads : rows.heads) {
        const int64_t bytes = heads / parts * rows.head_bytes;
        for (int64_t p = 0; p < parts; ++p, in_row += bytes) {
          const int64_t place = in_block + p * block;
          if constexpr (cut == Cut::kIntoBlocks) {
            std::memcpy(to + place, from + in_row, static_cast<size_t>(bytes));
          } else {
            std::memcpy(to + in_row, from + place, static_cast<size_t>(bytes));
          }
        }
        in_block += bytes;
      }
    }
  }
}

}  // namespace

int64_t HeadRows::row_bytes() const {
  return head_bytes * std::accumulate(heads.begin(), heads.end(), int64_t{0});
}

void SequenceExchange::exchange(const HeadRows& rows, const std::byte* to, std::byte* from) {
  const TimedScope timed(waited_ms_);
  const auto P = static_cast<size_t>(parts());
  const size_t block = static_cast<size_t>(rows.tokens * rows.row_bytes()) / P;
  std::vector<Request> requests;
  for (int64_t b = 0; b < rows.batch_size; ++b) {
    std::vector<std::span<const std::byte>> sent;
    std::vector<std::span<std::byte>> received;
    for (size_t p = 0; p < P; ++p) {
      const size_t place = (static_cast<size_t>(b) * P + p) * block;
      sent.emplace_back(to + place, block);
      received.emplace_back(from + place, block);
    }
    requests.push_back(group_->start_exchange(std::span<const std::span<const std::byte>>(sent),
                                              std::span<const std::span<std::byte>>(received),
                                              "exchanging attention's heads"));
  }
  for (Request& request : requests) request.wait();
}

// A sequence's blocks of this rank's heads, by the ranks that they come from, are its tokens in
// their order: what is received is in its place, and what is sent back already cut.
void SequenceExchange::to_heads(const HeadRows& rows, std::byte* data, std::byte* space) {
  copy_blocks<Cut::kIntoBlocks>(rows, parts(), data, space);
  exchange(rows, space, data);
}

void SequenceExchange::to_tokens(const HeadRows& rows, const std::byte* from, std::byte* to,
                                 std::byte* space) {
  exchange(rows, from, space);
  copy_blocks<Cut::kIntoRows>(rows, parts(), space, to);
}

}  // namespace borealis
