// Between a trainer's buffers and a checkpoint: what is written of them, and where what is read
// goes. Master weights are f32 in a checkpoint, whatever a run keeps of them.
#pragma once

#include <cstddef>
#include <vector>

#include "checkpoint/model_folder.h"
#include "checkpoint/named_tensor.h"
#include "checkpoint/promised_tensors.h"
#include "checkpoint/state_pieces.h"
#include "model/run_layout.h"

namespace borealis {

// The buffers that a state is made of: a trainer's own, or a copy of them.
struct StateBuffers {
  const void* weights =
      nullptr;               // of the layout's dtype: [table.buffer_elements()], or the shard's
  OptimizerState optimizer;  // in the layout of the shard
};

// Refer to the buffers, which must stay as they are until the checkpoint is written. Where weights
// are sharded, the tensors refer to where they are while their unit is held.
std::vector<NamedTensor> model_tensors(const RunLayout& layout, const StateBuffers& buffers);
std::vector<NamedTensor> model_tensors(const ParameterBuffers& sharded);
// device: that the buffers are of.
std::vector<TensorSource> state_sources(const RunLayout& layout, const StateBuffers& buffers,
                                        int64_t shard, Device& device = host_device());

// What a folder of the model's weights has to hold.
std::vector<PromisedTensor> promised_tensors(const ParameterTable& table);

// Store into the trainer's buffers, on its device. Without moments: the master weights alone.
std::vector<PieceTarget> state_targets(const RunLayout& layout, const TrainingBuffers& buffers,
                                       int64_t shard, bool moments, Device& device = host_device());
// Master weights from a model's folder, in any of the types that it may hold. Throws Error(kData)
// naming a tensor that is missing or of another shape.
void load_model_weights(const ModelWeights& weights, const RunLayout& layout,
                        const TrainingBuffers& buffers, int64_t shard,
                        Device& device = host_device());
// What follows from the moments and is kept apart; to be called after they were loaded.
void restore_derived_state(const RunLayout& layout, const TrainingBuffers& buffers, int64_t shard,
                           Device& device = host_device());

}  // namespace borealis
