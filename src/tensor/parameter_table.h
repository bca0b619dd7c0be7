// The parameters of a model as one flat buffer and a table of names. Weights, gradients, master
// weights and optimizer moments are buffers of this same layout, so that sharding, reduction,
// optimizers and checkpoints are arithmetic on offsets. Parameters that a pass over the model needs
// at the same time form a unit: the embedding, each layer, the final norm with the head.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace borealis {

enum class ParameterKind { kEmbedding, kNorm, kProjection, kHead };

struct Parameter {
  std::string name;  // Hugging Face's, "model.layers.0.self_attn.q_proj.weight"
  ParameterKind kind = ParameterKind::kProjection;
  std::vector<int64_t> shape;  // row-major; matrices are [out, in]
  int64_t offset = 0;          // elements from the start of the flat buffer
  bool weight_decay = false;   // contract section 3.3: every tensor of more than one dimension
  double init_std = 0;         // standard deviation of the initial values; norm gains are ones

  int64_t size() const;
};

struct ParameterUnit {
  std::string name;      // "embedding", "layer 0", "head"
  size_t first = 0;      // entries [first, end) of the table
  size_t end = 0;        //
  int64_t offset = 0;    // elements from the start of the flat buffer, on a cache line
  int64_t elements = 0;  // to the start of the next unit, so with its gaps
};

class ParameterTable {
 public:
  // Offsets of units and of parameters that are not fused are multiples of it: a cache line of
  // bf16.
  static constexpr int64_t kAlignmentElements = 32;

  // What is added from now on belongs to a new unit.
  void begin_unit(std::string name);
  // Appends a parameter. `fused` places it directly behind the previous one, so that the two form
  // one matrix of more rows (q, k, v; gate, up); others start on a cache line. Without a unit begun
  // it begins one without a name.
  void add(Parameter parameter, bool fused = false);

  std::span<const Parameter> entries() const { return entries_; }
  std::span<const ParameterUnit> units() const { return units_; }
  std::span<const Parameter> entries_of(const ParameterUnit& unit) const {
    return entries().subspan(unit.first, unit.end - unit.first);
  }
  const Parameter& at(std::string_view name) const;    // CHECKs that it exists
  const Parameter* find(std::string_view name) const;  // nullptr where absent
  size_t unit_at(int64_t offset) const;                // the number of the unit that it lies in
  int64_t parameter_count() const { return count_; }   // without alignment gaps
  int64_t buffer_elements() const;                     // with them, to a whole cache line

 private:
  std::vector<Parameter> entries_;
  std::unordered_map<std::string, size_t> entry_of_name_;
  std::vector<ParameterUnit> units_;
  int64_t count_ = 0;
  int64_t elements_ = 0;
};

}  // namespace borealis
