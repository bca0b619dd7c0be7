// Bounds that options and what was saved of them share.
#pragma once

#include <cstdint>

namespace borealis {

// Layers of a model, as NLAYERS may say them.
constexpr int64_t kMaxLayers = 10'000;
constexpr int64_t kMaxVocab = 2'147'483'520;  // token ids are int32; a multiple of 128
constexpr double kMaxIterations = 1e15;
// Of learning rates and weight decay: far beyond any use, within the range of f32.
constexpr double kMaxRate = 1e30;

}  // namespace borealis
