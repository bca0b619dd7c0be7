// How fast this process multiplies what a model multiplies.
#pragma once

#include <cstddef>
#include <span>

#include "kernels/backend.h"
#include "model/decoder_buffers.h"

namespace borealis {

// The rate of the products of a layer and of the head in the backend's `memory`, which is
// overwritten, within about 0.3 s; on a GPU, which gets hot, 1.5 s.
GemmRate measure_model_products(Backend& backend, const DecoderShape& shape, DType dtype,
                                std::span<std::byte> memory);

}  // namespace borealis
