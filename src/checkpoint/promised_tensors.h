// The tensors of a folder held against those that its config.json promises.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/model_folder.h"

namespace borealis {

struct PromisedTensor {
  std::string name;
  std::vector<int64_t> shape;
};

struct TensorMismatch {
  std::vector<std::string> missing;
  std::vector<std::string> unexpected;
  std::vector<std::string> misshapen;   // "a is [2, 3] instead of [2, 4]"
  std::vector<std::string> unreadable;  // "a holds I8": no type of weights

  bool any() const;
  // One line: every kind, of each the first few names and how many more there are.
  std::string text() const;
};

// Not unexpected, since loaders do without: RoPE's frequencies (rotary_emb.inv_freq), which old
// exports hold, and a copy of the embedding as lm_head.weight of a tied model.
TensorMismatch compare_with_promised(const ModelWeights& weights,
                                     std::span<const PromisedTensor> promised);

// Throws Error(kData) naming every mismatch: a tensor that the configuration does not ask for, too,
// is a part of another model. `tied` is the configuration's.
void require_promised(const ModelWeights& weights, std::span<const PromisedTensor> promised,
                      const std::filesystem::path& folder, bool tied);

}  // namespace borealis
