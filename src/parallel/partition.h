// All sharding is this arithmetic (design D15; ZeRO, Rajbhandari et al. 2020): every unit of the
// parameter table is cut into as many equal parts as there are shards, padded to whole cache lines,
// and shard s owns part s of each. A shard's buffers (master weights, moments, later gradients)
// hold its parts one behind the other, in the order of the units. With one shard that is the
// table's own layout.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tensor/parameter_table.h"

namespace borealis {

// Elements [begin, end) of a parameter, flat in row-major order, which lie from `offset` on in the
// buffers of the shard that owns them.
struct ShardPiece {
  size_t parameter = 0;  // entry of the table
  int64_t begin = 0;
  int64_t end = 0;
  int64_t offset = 0;

  int64_t size() const { return end - begin; }
};

class Partition {
 public:
  // Empty: of no shards and no parameters.
  Partition() = default;
  // Throws nothing; shards >= 1 (CHECK).
  Partition(const ParameterTable& table, int64_t shards);

  int64_t shards() const { return static_cast<int64_t>(pieces_.size()); }
  // Of a shard's buffer, the same for all, padding included.
  int64_t shard_elements() const { return shard_elements_; }
  // What shard `shard` owns, in the order of its buffers. Over all shards every element of every
  // parameter is in exactly one piece.
  const std::vector<ShardPiece>& pieces(int64_t shard) const;

 private:
  void cut(const ParameterTable& table, const ParameterUnit& unit);

  int64_t shard_elements_ = 0;
  std::vector<std::vector<ShardPiece>> pieces_;  // by shard
};

}  // namespace borealis
