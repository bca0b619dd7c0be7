#include "kernels/attention.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <thread>

#include "base/check.h"
#include "base/rounding.h"
#include "kernels/cpu/amx.h"
#include "kernels/cpu/attention_tasks.h"
#include "kernels/cpu/product_bf16.h"

namespace borealis {
namespace {

template <typename T>
const AttentionTasks<T>& tasks_of_this_cpu() {
  if constexpr (std::is_same_v<T, bf16>) {
    if (amx_products_supported()) return amx_attention_tasks();
    if (bf16_products_supported()) return avx512_attention_tasks();
  }
  return f32_attention_tasks<T>();
}

constexpr int64_t kPackedFloats = int64_t{2} << 20;

// Groups whose keys and values are packed at a time: enough tasks for all threads, in few bytes.
int64_t groups_at_a_time(const AttentionShape& s, int64_t packed_floats) {
  const int64_t groups = s.batch_size * s.num_key_value_heads;
  return std::clamp<int64_t>(kPackedFloats / packed_floats, 1, groups);
}

// What the tasks of a backward pass share: counters of their progress, and dK and dV of the groups
// that are under way.
struct SharedSums {
  int64_t counter_floats, group_floats, floats;

  SharedSums(const AttentionShape& s, const BackwardOrder& order)
      : counter_floats(order.tasks() * KeyGradientTurns::kStride),
        group_floats(
            order.tasks_of_group() == 1 ? 0 : 2 * s.seq_length * key_gradient_width(s.head_dim)),
        floats(counter_floats + order.slots() * group_floats) {}
};

template <typename T>
BackwardOrder order_of(const AttentionTasks<T>& tasks, const AttentionShape& s, int threads) {
  return {s, tasks.part_queries, tasks.key_block, threads};
}

template <typename T>
void run_forward(const AttentionForwardJob<T>& job, float* scratch, int threads) {
  const AttentionShape& shape = job.shape;
  const AttentionTasks<T>& tasks = tasks_of_this_cpu<T>();
  CHECK(job.first_query % tasks.query_block == 0);
  const int64_t K = shape.num_key_value_heads, G = shape.group_size();
  const int64_t groups = shape.batch_size * K;
  const int64_t group_floats = tasks.packed_floats(shape);
  const int64_t step = groups_at_a_time(shape, group_floats);
  const int64_t key_blocks = divide_up(shape.seq_length, tasks.query_block);
  const int64_t query_blocks = key_blocks - job.first_query / tasks.query_block;
  float* tasks_scratch = scratch + step * group_floats;
#pragma omp parallel num_threads(threads)
  for (int64_t first = 0; first < groups; first += step) {
    const int64_t count = std::min(step, groups - first);
#pragma omp for schedule(static)
    for (int64_t task = 0; task < count * key_blocks; ++task) {
      const int64_t group = first + task / key_blocks;
      tasks.pack(job, group / K, group % K, task % key_blocks,
                 scratch + (group - first) * group_floats);
    }
    // Late query blocks see the most keys: they go first, so that threads finish together.
#pragma omp for schedule(dynamic)
    for (int64_t task = 0; task < count * G * query_blocks; ++task) {
      const int64_t group = first + task / (G * query_blocks);
      const int64_t query_block = key_blocks - 1 - task % (G * query_blocks) / G;
      const int64_t head = group % K * G + task % G;
      tasks.forward(job, group / K, head, query_block, scratch + (group - first) * group_floats,
                    tasks_scratch + omp_get_thread_num() * tasks.forward_floats(shape));
    }
  }
}

}  // namespace

std::atomic_ref<int32_t> KeyGradientTurns::blocks_done(const BackwardTask& of) const {
  return std::atomic_ref<int32_t>(progress[order.number(of) * kStride]);
}

void KeyGradientTurns::begin(int64_t block) const {
  const std::optional<BackwardTask> before = order.before(task, block);
  if (!before) return;
  const std::atomic_ref<int32_t> counter = blocks_done(*before);
  while (counter.load(std::memory_order_acquire) <= block) std::this_thread::yield();
}

void KeyGradientTurns::end(int64_t block) const {
  blocks_done(task).store(static_cast<int32_t>(block) + 1, std::memory_order_release);
}

template <typename T_>
int64_t attention_forward_scratch_floats(const AttentionShape& s, int threads) {
  const AttentionTasks<T_>& tasks = tasks_of_this_cpu<T_>();
  const int64_t packed = tasks.packed_floats(s);
  return groups_at_a_time(s, packed) * packed + threads * tasks.forward_floats(s);
}

template <typename T_>
int64_t attention_backward_scratch_floats(const AttentionShape& s, int threads) {
  const AttentionTasks<T_>& tasks = tasks_of_this_cpu<T_>();
  const BackwardOrder order = order_of(tasks, s, threads);
  return SharedSums(s, order).floats + order.threads() * tasks.backward_floats(s);
}

template <typename T_>
void attention_forward(const AttentionShape& shape, const T_* qkv, T_* out, float* lse,
                       float* scratch, int threads, const int32_t* document_starts) {
  const int64_t C = shape.head_dim;
  const T_* keys = qkv + shape.num_heads * C;
  run_forward<T_>({.shape = shape,
                   .queries = qkv,
                   .keys = keys,
                   .values = keys + shape.num_key_value_heads * C,
                   .position_stride = shape.row_stride(),
                   .head_stride = C,
                   .out = out,
                   .lse = lse,
                   .document_starts = document_starts},
                  scratch, threads);
}

template <typename T_>
int64_t attention_prefix_scratch_floats(const AttentionShape& s, int threads) {
  const AttentionTasks<T_>& tasks = tasks_of_this_cpu<T_>();
  // Of shorter texts more groups are packed at a time, but no more than this together.
  const int64_t packed = tasks.packed_floats(s);
  return std::max(packed, std::min(kPackedFloats, s.num_key_value_heads * packed)) +
         threads * tasks.forward_floats(s);
}

template <typename T_>
void attention_forward_prefix(const AttentionShape& shape, int64_t first, const T_* qkv,
                              int32_t sequence, const KeyValueCache<T_>& cache, T_* out, float* lse,
                              float* scratch, int threads) {
  CHECK(shape.batch_size == 1 && first < shape.seq_length && shape.seq_length <= cache.capacity);
  const int64_t head_stride = cache.capacity * shape.head_dim;
  const int64_t of_sequence = sequence * shape.num_key_value_heads * head_stride;
  run_forward<T_>({.shape = shape,
                   .queries = qkv,
                   .keys = cache.keys + of_sequence,
                   .values = cache.values + of_sequence,
                   .position_stride = shape.head_dim,
                   .head_stride = head_stride,
                   .out = out,
                   .lse = lse,
                   .document_starts = nullptr,
                   .first_query = first},
                  scratch, threads);
}

template <typename T_>
void attention_backward(const AttentionShape& shape, const T_* qkv, const T_* out, const T_* dout,
                        const float* lse, T_* dqkv, float* scratch, int threads,
                        const int32_t* document_starts) {
  const AttentionTasks<T_>& tasks = tasks_of_this_cpu<T_>();
  const AttentionBackwardJob<T_> job{shape, qkv, out, dout, lse, dqkv, document_starts};
  const int64_t K = shape.num_key_value_heads, G = shape.group_size();
  const BackwardOrder order = order_of(tasks, shape, threads);
  const SharedSums shared(shape, order);
  auto* progress = reinterpret_cast<int32_t*>(scratch);
  float* sums = scratch + shared.counter_floats;
  float* tasks_scratch = scratch + shared.floats;
  std::fill_n(progress, shared.counter_floats, 0);
  std::atomic<int64_t> next = 0;
#pragma omp parallel num_threads(order.threads())
  for (int64_t i = next++; i < order.tasks(); i = next++) {
    const BackwardTask task = order.task(i);
    const KeyGradientTurns turns{.order = order,
                                 .task = task,
                                 .sums = sums + task.group % order.slots() * shared.group_floats,
                                 .progress = progress};
    const int64_t head = task.group % K * G + task.head_in_group;
    const int64_t first = task.part * tasks.part_queries;
    const QueryPart queries{first, std::min(first + tasks.part_queries, shape.seq_length)};
    tasks.backward(job, task.group / K, head, queries, turns,
                   tasks_scratch + omp_get_thread_num() * tasks.backward_floats(shape));
  }
}

template int64_t attention_forward_scratch_floats<float>(const AttentionShape&, int);
template int64_t attention_forward_scratch_floats<bf16>(const AttentionShape&, int);
template int64_t attention_backward_scratch_floats<float>(const AttentionShape&, int);
template int64_t attention_backward_scratch_floats<bf16>(const AttentionShape&, int);
template void attention_forward(const AttentionShape&, const float*, float*, float*, float*, int,
                                const int32_t*);
template void attention_forward(const AttentionShape&, const bf16*, bf16*, float*, float*, int,
                                const int32_t*);
template int64_t attention_prefix_scratch_floats<float>(const AttentionShape&, int);
template int64_t attention_prefix_scratch_floats<bf16>(const AttentionShape&, int);
template void attention_forward_prefix(const AttentionShape&, int64_t, const float*, int32_t,
                                       const KeyValueCache<float>&, float*, float*, float*, int);
template void attention_forward_prefix(const AttentionShape&, int64_t, const bf16*, int32_t,
                                       const KeyValueCache<bf16>&, bf16*, float*, float*, int);
template void attention_backward(const AttentionShape&, const float*, const float*, const float*,
                                 const float*, float*, float*, int, const int32_t*);
template void attention_backward(const AttentionShape&, const bf16*, const bf16*, const bf16*,
                                 const float*, bf16*, float*, int, const int32_t*);

}  // namespace borealis
