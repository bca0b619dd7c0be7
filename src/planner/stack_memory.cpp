#include "planner/stack_memory.h"

#include <algorithm>

#include "base/direct_file.h"
#include "base/rounding.h"
#include "model/accounting.h"
#include "model/run_layout.h"
#include "model/step_kernels.h"
#include "planner/planner.h"

namespace borealis {
namespace {

std::vector<MemoryClass> own_memory(const RunConfig& config, const MachineModel& machine,
                                    int64_t ranks, int threads) {
  RunConfig of_ranks = config;
  of_ranks.parallel.world_size = ranks;
  if (std::optional<GpuProfile> gpu = machine.gpu()) {
    gpu->deterministic = config.machine.deterministic;
    const RunLayout layout = fitting_layout(of_ranks, threads, &*gpu);
    return plan_memory(layout, profiled_steps(config), 0, 0).classes(config.dtype);
  }
  const RunLayout layout = make_run_layout(of_ranks, threads);
  MemoryPlan plan = plan_memory(layout, profiled_steps(config), 0, 0);
  if (config.output.save_checkpoints) plan.transfer_bytes = DirectBlocks::kMemoryBytes;
  return plan.classes(config.dtype);
}

std::vector<MemoryClass> reference_memory(const RunConfig& config, int64_t ranks) {
  const ModelConfig& model = config.model;
  const int64_t stage = config.parallel.zero_stage;
  const int64_t N = parameter_count(model);
  const auto split = [ranks](int64_t bytes) { return divide_up(bytes, ranks); };
  const int64_t tokens = config.batch.micro_batch_size * config.batch.seq_length /
                         config.parallel.sequence_parallel_size;
  const int64_t layer =
      24 * model.hidden_size + 10 * model.query_size() + 8 * model.intermediate_size;
  const int64_t kept = config.recompute.enabled
                           ? 2 * model.hidden_size * model.num_hidden_layers + layer
                           : layer * model.num_hidden_layers;
  return {{"weights (bf16)", stage == 3 ? split(2 * N) : 2 * N},
          {"gradients (bf16)", stage >= 2 ? split(2 * N) : 2 * N},
          {"gradients (fp32)", stage == 0 ? 4 * N : 0},
          {"optimizer: fp32 weights and two moments, split over the ranks", split(12 * N)},
          {"activations kept for backward", tokens * kept},
          {"logits, probabilities and their gradient", tokens * 10 * model.vocab_size}};
}

int64_t reserve_bytes(const RunConfig& config, const MachineModel& machine,
                      int64_t ranks_per_host) {
  const auto reserve = static_cast<double>(machine.rank_reserve_bytes(ranks_per_host));
  if (machine.cores_per_host == 0) return static_cast<int64_t>(reserve);
  const int64_t memory_bytes = std::max<int64_t>(1, machine.rank_memory_bytes(ranks_per_host));
  const double used = static_cast<double>(rank_limit_bytes(config, machine, ranks_per_host)) /
                      static_cast<double>(memory_bytes);
  return static_cast<int64_t>(used * reserve);
}

}  // namespace

int64_t rank_limit_bytes(const RunConfig& config, const MachineModel& machine,
                         int64_t ranks_per_host) {
  const int64_t memory_bytes = machine.rank_memory_bytes(ranks_per_host);
  return std::min(config.machine.memory_limit_bytes.value_or(memory_bytes), memory_bytes);
}

std::vector<MemoryClass> rank_memory(const RunConfig& config, const MachineModel& machine,
                                     int64_t hosts, int64_t ranks_per_host, int threads) {
  const int64_t ranks = hosts * ranks_per_host;
  std::vector<MemoryClass> classes = machine.stack == TrainingStack::kBorealis
                                         ? own_memory(config, machine, ranks, threads)
                                         : reference_memory(config, ranks);
  if (machine.stack != TrainingStack::kBorealis || !machine.gpu()) {
    classes.push_back(
        {"context, libraries, fragmentation", reserve_bytes(config, machine, ranks_per_host)});
  }
  std::erase_if(classes, [](const MemoryClass& entry) { return entry.bytes == 0; });
  return classes;
}

int64_t total_bytes(const std::vector<MemoryClass>& classes) {
  int64_t total = 0;
  for (const MemoryClass& entry : classes) total += entry.bytes;
  return total;
}

}  // namespace borealis
