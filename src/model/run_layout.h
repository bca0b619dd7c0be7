// What a run's configuration comes to in shapes and places, derived once and handed to the memory
// plan, the trainer and the profiler.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "config/run_config.h"
#include "model/decoder_buffers.h"
#include "parallel/group_buffers.h"
#include "parallel/partition.h"
#include "parallel/sum_buffers.h"
#include "tensor/arena.h"
#include "tensor/optimizer_state.h"
#include "tensor/parameter_buffers.h"
#include "tensor/row_gradients.h"

namespace borealis {

struct RunLayout {
  DType dtype = DType::kF32;
  DecoderShape decoder;
  int64_t grad_accum_steps = 1;
  ParameterTable table;
  int64_t ranks = 1;                      // that have the same parameters
  DType grad_reduce_dtype = DType::kF32;  // of gradients that travel between ranks
  int64_t zero_stage = 0;                 // 0 where there is one rank
  Partition partition;                    // into as many shards as ranks; one at ZeRO stage 0
  // Of the weights over ranks of a host, at ZeRO stage 3; of no shards: there is none.
  Partition secondary;
  // The rows of the embedding that a step of this rank can touch, where keeping their gradients
  // alone takes less memory than the dense gradient; none where it does not, or the head is the
  // same matrix.
  std::optional<RowGradientsShape> embedding_rows;

  // What AdamW and the norm of the gradients need of a GPU besides.
  GpuOptimizerShape gpu_optimizer() const;
  bool is_on_gpu() const { return decoder.gpu.has_value(); }
  // Of several GPUs, which exchange without their hosts.
  bool is_on_group() const { return is_on_gpu() && ranks > 1 && decoder.gpu->has_group; }
  bool shards_gradients() const { return zero_stage >= 2; }
  bool shards_weights() const { return zero_stage >= 3; }
  // Elements of the gradients of a whole model that are kept densely, and of all.
  int64_t dense_gradient_elements() const;
  int64_t gradient_elements() const;
};

// gpu: of a run on one; null: on the host.
DecoderShape decoder_shape(const RunConfig& config, int threads, const GpuProfile* gpu = nullptr);
RunLayout make_run_layout(const RunConfig& config, int threads, const GpuProfile* gpu = nullptr);

struct TrainingArenas {
  Arena weights;
  Arena gradients;
  Arena optimizer;
  Arena sums;   // pieces of gradients on their way between ranks
  Arena group;  // the same on devices that exchange without their hosts
  Arena host;   // of a run on a device: what the host keeps beside it

  static TrainingArenas measuring() {
    return {Arena::measuring(), Arena::measuring(), Arena::measuring(),
            Arena::measuring(), Arena::measuring(), Arena::measuring()};
  }
};

// Everything that training keeps of the parameters on this rank, laid out once: run on measuring
// arenas it is the memory plan, run on real ones the allocation.
struct TrainingBuffers {
  ParameterBuffers parameters;
  std::optional<RowGradients> embedding_gradient;
  UnitPlaces places;                       // in the slots of units, where something is sharded
  OptimizerState optimizer;                // of the shard that this rank owns
  std::span<std::byte> optimizer_scratch;  // gpu_optimizer_bytes, on a GPU
  SumBuffers sums;
  GroupBuffers group;

  // `layout` must outlive this.
  TrainingBuffers(const RunLayout& layout, TrainingArenas& arenas);
  TrainingBuffers(const TrainingBuffers&) = delete;
  TrainingBuffers& operator=(const TrainingBuffers&) = delete;
};

// Arenas of exactly the sizes that `layout` needs, on the device that it is of.
TrainingArenas allocate_training_arenas(const RunLayout& layout, Device& device = host_device());

}  // namespace borealis
