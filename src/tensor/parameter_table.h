// The parameters of a model as one flat buffer and a table of names. Weights, gradients, master
// weights and optimizer moments are buffers of this same layout, so that sharding, reduction,
// optimizers and checkpoints are arithmetic on offsets.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace borealis {

struct Parameter {
  std::string name;            // Hugging Face's, "model.layers.0.self_attn.q_proj.weight"
  std::vector<int64_t> shape;  // row-major; matrices are [out, in]
  int64_t offset = 0;          // elements from the start of the flat buffer
  bool weight_decay = false;   // contract section 3.3: every tensor of more than one dimension
  double init_std = 0;         // standard deviation of the initial values; 0: all ones (norm gains)
  // Dimension that tensor parallelism splits (0: rows, 1: columns); none: replicated.
  std::optional<int> tensor_parallel_dim;

  int64_t size() const;
};

class ParameterTable {
 public:
  // Appends a parameter. `fused` places it directly behind the previous one, so that the two form
  // one matrix of more rows (q, k, v; gate, up); others start on a cache line.
  void add(Parameter parameter, bool fused = false);

  std::span<const Parameter> entries() const { return entries_; }
  const Parameter& at(std::string_view name) const;    // CHECKs that it exists
  const Parameter* find(std::string_view name) const;  // nullptr where absent
  int64_t parameter_count() const { return count_; }   // without alignment gaps
  int64_t buffer_elements() const;                     // with them, to a whole cache line

 private:
  std::vector<Parameter> entries_;
  int64_t count_ = 0;
  int64_t elements_ = 0;
};

}  // namespace borealis
