// All sharding is this arithmetic (design D15; ZeRO, Rajbhandari et al. 2020): every unit of the
// parameter table is cut into as many equal parts as there are shards, of whole blocks, and shard s
// owns part s of each. A shard's buffers (master weights, moments, gradients, weights) hold its
// parts one behind the other, in the order of the units. With one shard that is the table's own
// layout.
#pragma once

#include <algorithm>
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

// Of a unit, flat: shard s owns elements [begin(s), end(s)), which lie from `shard_offset` on in
// its buffers. The last shards may own less than the others, or nothing.
struct UnitCut {
  int64_t offset = 0;    // of the unit in the flat buffer
  int64_t elements = 0;  // of the unit
  int64_t part = 0;      // elements that each shard has room for
  int64_t shard_offset = 0;

  int64_t begin(int64_t shard) const { return std::min(elements, shard * part); }
  int64_t end(int64_t shard) const { return std::min(elements, (shard + 1) * part); }
  int64_t size(int64_t shard) const { return end(shard) - begin(shard); }
};

class Partition {
 public:
  // Parts are multiples of it: of a cache line, and of the blocks whose sums of squares make up the
  // norm of the gradients (kernels/grad_norm.h), so that no number of shards changes its bits.
  static constexpr int64_t kBlockElements = 1024;

  // Empty: of no shards and no parameters.
  Partition() = default;
  // Throws nothing; shards >= 1 (CHECK).
  Partition(const ParameterTable& table, int64_t shards);

  int64_t shards() const { return shards_; }
  // Of a shard's buffer, the same for all, padding included.
  int64_t shard_elements() const { return shard_elements_; }
  // What shard `shard` owns, in the order of its buffers. Over all shards every element of every
  // parameter is in exactly one piece. Made at each call: of thousands of shards nobody asks for
  // but its own.
  std::vector<ShardPiece> pieces(int64_t shard) const;
  // By unit of the table.
  const std::vector<UnitCut>& cuts() const { return cuts_; }

 private:
  struct Place {  // of a parameter, in the flat buffer
    int64_t offset = 0;
    int64_t size = 0;
  };

  int64_t shards_ = 0;
  int64_t shard_elements_ = 0;
  std::vector<Place> places_;         // by entry of the table
  std::vector<ParameterUnit> units_;  // of the table
  std::vector<UnitCut> cuts_;
};

}  // namespace borealis
