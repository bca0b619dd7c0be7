#include "model/run_layout.h"

#include <algorithm>

#include "model/parameter_layout.h"

namespace borealis {
namespace {

constexpr int64_t kShards = 1;  // of the master weights and moments: there is one rank

std::optional<RowGradientsShape> embedding_rows_of(const RunConfig& config) {
  if (config.model.tie_word_embeddings) return std::nullopt;
  const int64_t micro_batch = config.batch.micro_batch_size * config.batch.seq_length;
  // A rank has the rows of all data-parallel ranks once their gradients are added up.
  const int64_t tokens =
      config.batch.grad_accum_steps * micro_batch * config.parallel.data_parallel_size();
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

DecoderShape decoder_shape(const RunConfig& config, int threads) {
  return {config.model,     config.batch.micro_batch_size, config.batch.seq_length,
          config.recompute, product_mode(config.dtype),    threads};
}

RunLayout make_run_layout(const RunConfig& config, int threads) {
  RunLayout layout{.dtype = config.dtype,
                   .decoder = decoder_shape(config, threads),
                   .grad_accum_steps = config.batch.grad_accum_steps,
                   .table = make_parameter_table(config.model),
                   .partition = {},
                   .embedding_rows = embedding_rows_of(config)};
  layout.partition = Partition(layout.table, kShards);
  return layout;
}

TrainingBuffers::TrainingBuffers(const RunLayout& layout, TrainingArenas& arenas) {
  parameters.table = &layout.table;
  parameters.dtype = layout.dtype;
  parameters.weights = arenas.weights.take<std::byte>(
      layout.table.buffer_elements() * static_cast<int64_t>(dtype_bytes(layout.dtype)));
  int64_t embedding_rows = 0;
  if (layout.embedding_rows) {
    embedding_gradient.emplace(*layout.embedding_rows, arenas.gradients);
    parameters.embedding_gradient = &*embedding_gradient;
    embedding_rows = layout.embedding_rows->table_rows;
  }
  parameters.gradients = arenas.gradients.take<float>(layout.dense_gradient_elements());
  optimizer = OptimizerState(layout.partition.shard_elements(), layout.dtype, embedding_rows,
                             arenas.optimizer);
}

TrainingArenas allocate_training_arenas(const RunLayout& layout) {
  TrainingArenas measured = TrainingArenas::measuring();
  const TrainingBuffers buffers(layout, measured);
  return {Arena(measured.weights.used_bytes(), "weights"),
          Arena(measured.gradients.used_bytes(), "gradients"),
          Arena(measured.optimizer.used_bytes(), "optimizer state")};
}

}  // namespace borealis
