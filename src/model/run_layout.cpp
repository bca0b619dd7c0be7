#include "model/run_layout.h"

#include <algorithm>

#include "base/check.h"
#include "model/parameter_layout.h"
#include "parallel/unit_slots.h"

namespace borealis {
namespace {

std::optional<RowGradientsShape> embedding_rows_of(const RunConfig& config) {
  if (config.model.tie_word_embeddings) return std::nullopt;
  const int64_t micro_batch = config.batch.micro_batch_size * config.batch.seq_length /
                              config.parallel.sequence_parallel_size;
  // A rank has the rows of all ranks once their gradients are added up.
  const int64_t tokens = config.batch.grad_accum_steps * micro_batch * config.parallel.replicas();
  const RowGradientsShape shape{config.model.vocab_size, config.model.hidden_size,
                                std::min(config.model.vocab_size, tokens), micro_batch};
  const int64_t dense = shape.table_rows * shape.row_size * static_cast<int64_t>(sizeof(float));
  return shape.bytes() < dense ? std::optional(shape) : std::nullopt;
}

}  // namespace

int64_t RunLayout::dense_gradient_elements() const {
  return table.buffer_elements() - (embedding_rows ? table.units().front().elements : 0);
}

int64_t RunLayout::gradient_elements() const {
  const int64_t rows_bytes = embedding_rows ? embedding_rows->bytes() : 0;
  return dense_gradient_elements() + rows_bytes / static_cast<int64_t>(sizeof(float));
}

GpuOptimizerShape RunLayout::gpu_optimizer() const {
  GpuOptimizerShape shape;
  for (const ParameterUnit& unit : table.units()) {
    shape.largest_sum = std::max(shape.largest_sum, unit.elements);
  }
  if (embedding_rows) {
    shape.table_rows = embedding_rows->table_rows;
    shape.most_rows = embedding_rows->most_rows;
  }
  return shape;
}

DecoderShape decoder_shape(const RunConfig& config, int threads, const GpuProfile* gpu) {
  const int64_t parts = config.parallel.sequence_parallel_size;
  DecoderShape shape{.model = config.model,
                     .micro_batch_size = config.batch.micro_batch_size,
                     .seq_length = config.batch.seq_length / parts,
                     .recompute = config.recompute,
                     .mode = product_mode(config.dtype),
                     .threads = threads,
                     .sequence_parts = parts};
  if (gpu != nullptr) shape.gpu = *gpu;
  shape.documents = config.data.reset_attention_mask;
  return shape;
}

RunLayout make_run_layout(const RunConfig& config, int threads, const GpuProfile* gpu) {
  RunLayout layout{.dtype = config.dtype,
                   .decoder = decoder_shape(config, threads, gpu),
                   .grad_accum_steps = config.batch.grad_accum_steps,
                   .table = make_parameter_table(config.model),
                   .ranks = config.parallel.replicas(),
                   .grad_reduce_dtype = config.parallel.grad_reduce_dtype(),
                   .zero_stage = 0,
                   .partition = {},
                   .secondary = {},
                   .embedding_rows = embedding_rows_of(config)};
  if (layout.ranks > 1) layout.zero_stage = config.parallel.zero_stage;
  layout.partition = Partition(layout.table, layout.zero_stage == 0 ? 1 : layout.ranks);
  const int64_t secondary = config.parallel.zero_hpz_partition_size;
  if (layout.shards_weights() && secondary > 1) {
    layout.secondary = Partition(layout.table, secondary);
  }
  return layout;
}

namespace {

// Where units lie while they are held, by unit; units that need no place have none.
template <typename T>
std::vector<T*> take_slots(const UnitSlots& slots, int64_t element_size, Arena& arena) {
  std::vector<T*> memory;
  for (const int64_t elements : slots.elements) {
    arena.align(kGpuAlignment);  // as far as a device's libraries may count on
    memory.push_back(arena.take<T>(elements * element_size));
  }
  std::vector<T*> places;
  for (const size_t slot : slots.slot_of_unit) {
    places.push_back(slot == UnitSlots::kNone ? nullptr : memory[slot]);
  }
  return places;
}

}  // namespace

TrainingBuffers::TrainingBuffers(const RunLayout& layout, TrainingArenas& arenas) {
  const Partition& partition = layout.partition;
  const auto width = static_cast<int64_t>(dtype_bytes(layout.dtype));
  parameters.table = &layout.table;
  parameters.dtype = layout.dtype;
  if (layout.shards_gradients()) parameters.places = &places;
  if (layout.shards_weights()) {
    parameters.weights = arenas.weights.take<std::byte>(partition.shard_elements() * width);
    places.weights = take_slots<std::byte>(weight_slots(layout.table, partition, layout.secondary),
                                           width, arenas.weights);
    if (layout.secondary.shards() > 0) {
      places.secondary_weights =
          arenas.weights.take<std::byte>(layout.secondary.shard_elements() * width);
    }
  } else {
    parameters.weights = arenas.weights.take<std::byte>(layout.table.buffer_elements() * width);
  }
  int64_t embedding_rows = 0;
  // Of a run on a device some things stay with the host.
  Arena& of_host = layout.is_on_gpu() ? arenas.host : arenas.optimizer;
  if (layout.embedding_rows) {
    if (layout.is_on_gpu()) {
      embedding_gradient.emplace(*layout.embedding_rows, arenas.host, arenas.gradients);
    } else {
      embedding_gradient.emplace(*layout.embedding_rows, arenas.gradients);
    }
    parameters.embedding_gradient = &*embedding_gradient;
    embedding_rows = layout.embedding_rows->table_rows;
    places.shard_first_dense = partition.cuts().front().part;
  }
  if (layout.shards_gradients()) {
    parameters.gradients =
        arenas.gradients.take<float>(partition.shard_elements() - places.shard_first_dense);
    places.gradients = take_slots<float>(
        gradient_slots(layout.table, partition, layout.embedding_rows.has_value()), 1,
        arenas.gradients);
  } else {
    parameters.gradients = arenas.gradients.take<float>(layout.dense_gradient_elements());
  }
  optimizer = OptimizerState(partition.shard_elements(), layout.dtype, embedding_rows,
                             arenas.optimizer, of_host);
  if (layout.is_on_gpu()) {
    const int64_t bytes = gpu_optimizer_bytes(layout.gpu_optimizer());
    arenas.optimizer.align(kGpuAlignment);
    optimizer_scratch = {arenas.optimizer.take<std::byte>(bytes), static_cast<size_t>(bytes)};
  }
  const int64_t largest_unit =
      std::ranges::max(layout.table.units(), {}, &ParameterUnit::elements).elements;
  if (layout.is_on_group()) {
    sums = SumBuffers::of_rows_alone(layout.ranks, layout.embedding_rows, arenas.sums);
    group = GroupBuffers(layout.ranks, layout.embedding_rows, layout.grad_reduce_dtype,
                         largest_unit, arenas.group);
  } else {
    sums = SumBuffers(layout.ranks, layout.embedding_rows, layout.grad_reduce_dtype,
                      layout.is_on_gpu() ? largest_unit : 0, arenas.sums);
  }
}

TrainingArenas allocate_training_arenas(const RunLayout& layout, Device& device) {
  CHECK(device.is_host() != layout.is_on_gpu());
  TrainingArenas measured = TrainingArenas::measuring();
  const TrainingBuffers buffers(layout, measured);
  return {Arena(measured.weights.used_bytes(), "weights", device),
          Arena(measured.gradients.used_bytes(), "gradients", device),
          Arena(measured.optimizer.used_bytes(), "optimizer state", device),
          Arena(measured.sums.used_bytes(), "sums over ranks"),
          Arena(measured.group.used_bytes(), "sums over ranks", device),
          Arena(measured.host.used_bytes(), "rows of the embedding")};
}

}  // namespace borealis
