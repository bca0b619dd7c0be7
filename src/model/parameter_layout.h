// Which parameters a decoder has, in which order they lie in the flat buffer, and their first
// values.
#pragma once

#include <cstdint>
#include <span>

#include "config/run_config.h"
#include "parallel/partition.h"
#include "tensor/parameter_buffers.h"

namespace borealis {

// Names and shapes as Hugging Face's LlamaForCausalLM; in order of use. q, k, v of a layer lie
// behind one another and so form one [(H + 2K) C, D] matrix; gate and up likewise [2F, D].
ParameterTable make_parameter_table(const ModelConfig& model);

// Draws the initial values (contract section 2.4) from (seed, parameter, index) alone. bf16 values
// are rounded as drawn; master weights start from the rounded ones.
void initialize_parameters(const ParameterBuffers& parameters, uint64_t seed);
// The same of a rank that owns these pieces: of all parameters where weights are not sharded, since
// a rank then has them all.
// On a device they are drawn by the host, piece by piece: the same bits.
void initialize_parameters(const ParameterBuffers& parameters, std::span<const ShardPiece> pieces,
                           uint64_t seed, Device& device = host_device());

}  // namespace borealis
