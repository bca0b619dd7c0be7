// How fast this process multiplies what a model multiplies.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "kernels/backend.h"
#include "model/decoder_buffers.h"

namespace borealis {

// The rate of the products of a layer and of the head in the backend's `memory`, which is
// overwritten, within about 0.3 s; on a GPU, which gets hot, 1.5 s.
GemmRate measure_model_products(Backend& backend, const DecoderShape& shape, DType dtype,
                                std::span<std::byte> memory);

// Of two measurements in one run, after its first step and behind its last, the better one; if that
// is the second, its description has the first, too.
GemmRate better_rate(GemmRate after_first_step, GemmRate behind_last_step);
// "1.834 TFLOP/s", or that it was not measured.
std::string rate_text(const GemmRate& rate);

}  // namespace borealis
