#include "kernels/attention.h"

#include <omp.h>

#include <algorithm>
#include <thread>

#include "base/check.h"
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

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

constexpr int64_t kPackedFloats = int64_t{2} << 20;

// Groups whose keys and values are packed at a time: enough tasks for all threads, in few bytes.
int64_t groups_at_a_time(const AttentionShape& s, int64_t packed_floats) {
  const int64_t groups = s.batch_size * s.num_key_value_heads;
  return std::clamp<int64_t>(kPackedFloats / packed_floats, 1, groups);
}

// Sums of dK and dV for as many groups as can be under way at once, and the turns' counters, of
// which each group has its own: a task may end long after another group has got its sums.
struct KeyGradientSlots {
  int64_t groups;
  int64_t parts;  // of a head
  int64_t tasks;  // of a group
  int threads;    // that have one
  int64_t slots, sums_floats, counter_floats;

  KeyGradientSlots(const AttentionShape& s, int64_t part_queries, int most_threads)
      : groups(s.batch_size * s.num_key_value_heads),
        parts(ceil_div(s.seq_length, part_queries)),
        tasks(s.group_size() * parts),
        threads(static_cast<int>(std::min<int64_t>(most_threads, groups * tasks))),
        slots(std::min(ceil_div(threads, tasks) + 1, groups)),
        sums_floats(tasks == 1 ? 0 : 2 * s.seq_length * key_gradient_width(s.head_dim)),
        counter_floats(tasks * KeyGradientTurns::kStride) {}

  int64_t floats() const { return slots * sums_floats + groups * counter_floats; }
};

template <typename T>
void run_forward(const AttentionForwardJob<T>& job, float* scratch, int threads) {
  const AttentionShape& shape = job.shape;
  const AttentionTasks<T>& tasks = tasks_of_this_cpu<T>();
  CHECK(job.first_query % tasks.query_block == 0);
  const int64_t K = shape.num_key_value_heads, G = shape.group_size();
  const int64_t groups = shape.batch_size * K;
  const int64_t group_floats = tasks.packed_floats(shape);
  const int64_t step = groups_at_a_time(shape, group_floats);
  const int64_t key_blocks = ceil_div(shape.seq_length, tasks.query_block);
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

void KeyGradientTurns::begin(int64_t block) const {
  // The last of a head that sees the block. The first task waits until the last one of the group
  // that had these sums before is through with them.
  const int64_t part_of_block = block / blocks_of_part;
  const int64_t other = part < parts - 1 ? head_in_group * parts + part + 1
                        : first()        ? (group_size - 1) * parts + part_of_block
                                         : (head_in_group - 1) * parts + part_of_block;
  int32_t* const of = first() ? progress_before : progress;
  if (of == nullptr) return;
  const std::atomic_ref<int32_t> counter(of[other * kStride]);
  while (counter.load(std::memory_order_acquire) <= block) std::this_thread::yield();
}

void KeyGradientTurns::end(int64_t block) const {
  std::atomic_ref<int32_t>(progress[(head_in_group * parts + part) * kStride])
      .store(static_cast<int32_t>(block) + 1, std::memory_order_release);
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
  const KeyGradientSlots slots(s, tasks.part_queries, threads);
  return slots.floats() + slots.threads * tasks.backward_floats(s);
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
  const KeyGradientSlots slots(shape, tasks.part_queries, threads);
  auto* counters = reinterpret_cast<int32_t*>(scratch);
  float* sums = scratch + slots.groups * slots.counter_floats;
  float* tasks_scratch = scratch + slots.floats();
  std::fill_n(counters, slots.groups * slots.counter_floats, 0);
  std::atomic<int64_t> next = 0;
#pragma omp parallel num_threads(slots.threads)
  // Tasks start in order: the turns rely on it.
  for (int64_t task = next++; task < slots.groups * slots.tasks; task = next++) {
    const int64_t group = task / slots.tasks, slot = group % slots.slots;
    KeyGradientTurns turns;
    turns.head_in_group = task % slots.tasks / slots.parts;
    turns.group_size = G;
    turns.part = slots.parts - 1 - task % slots.parts;
    turns.parts = slots.parts;
    turns.blocks_of_part = tasks.part_queries / tasks.key_block;
    turns.sums = sums + slot * slots.sums_floats;
    turns.progress = counters + group * slots.counter_floats;
    const bool shares_sums = slots.tasks > 1 && group >= slots.slots;
    if (shares_sums) turns.progress_before = turns.progress - slots.slots * slots.counter_floats;
    const int64_t first = turns.part * tasks.part_queries;
    const QueryPart queries{first, std::min(first + tasks.part_queries, shape.seq_length)};
    tasks.backward(job, group / K, group % K * G + turns.head_in_group, queries, turns,
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
