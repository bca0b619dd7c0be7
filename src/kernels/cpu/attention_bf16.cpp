#include "base/check.h"
#include "kernels/cpu/attention_bf16_tasks.h"
#include "kernels/cpu_isa.h"

namespace borealis {

#if defined(__x86_64__)

const AttentionTasks<bf16>& bf16_attention_tasks() {
  using namespace attention_bf16;
  static const AttentionTasks<bf16> tasks{kQueryBlock,    kBackwardKeys,   packed_floats,
                                          forward_floats, backward_floats, pack,
                                          forward_task,   backward_task};
  return tasks;
}

bool bf16_attention_supported() {
  return native_bf16_products() && __builtin_cpu_supports("avx512bf16") != 0;
}

#else

const AttentionTasks<bf16>& bf16_attention_tasks() {
  check_failed("bf16_attention_supported()", __FILE__, __LINE__);
}
bool bf16_attention_supported() { return false; }

#endif

}  // namespace borealis
