// The memory of a device through which ranks exchange without their hosts, laid out once.
#pragma once

#include <cstdint>
#include <optional>

#include "base/dtype.h"
#include "tensor/arena.h"
#include "tensor/row_gradients.h"

namespace borealis {

// A block of elements is added up at a time, of which each rank adds up its share.
class GroupBuffers {
 public:
  // Empty: of ranks that exchange through their hosts.
  GroupBuffers() = default;
  // rows: of the embedding, where its gradient is kept by rows. travels: dtype of what does.
  // largest_unit: elements of the largest unit.
  GroupBuffers(int64_t ranks, const std::optional<RowGradientsShape>& rows, DType travels,
               int64_t largest_unit, Arena& device);

  // Elements, so that what each rank adds up begins on a cache line.
  static constexpr int64_t kShareMultiple = 64;

  DType travels() const { return travels_; }
  // Elements of a rank's share of a block.
  int64_t share() const { return share_; }
  // [ranks][share()] of the dtype that travels, as the next.
  template <typename T>
  T* received() const {
    return reinterpret_cast<T*>(received_);
  }
  bf16* sent() const { return sent_; }  // of bf16
  // Rows of the embedding that are a block.
  int64_t rows() const { return rows_; }
  float* packed_rows() const { return packed_rows_; }  // [rows()][row_size]
  int32_t* row_places() const { return row_places_; }  // [rows()]

 private:
  DType travels_ = DType::kF32;
  int64_t share_ = 0;
  int64_t rows_ = 0;
  std::byte* received_ = nullptr;
  bf16* sent_ = nullptr;
  float* packed_rows_ = nullptr;
  int32_t* row_places_ = nullptr;
};

}  // namespace borealis
