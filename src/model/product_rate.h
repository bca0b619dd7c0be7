// How fast this process multiplies what a model multiplies.
#pragma once

#include <cstddef>
#include <span>

#include "kernels/gemm_rate.h"
#include "model/decoder_buffers.h"

namespace borealis {

// measure_gemm_rate() of the products of a layer and of the head, within about 0.3 s. `memory` is
// overwritten.
GemmRate measure_model_products(const DecoderShape& shape, std::span<std::byte> memory);

}  // namespace borealis
