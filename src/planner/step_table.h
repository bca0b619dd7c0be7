// Measured steps as a table of numbers, for whoever has figures but no run folders.
#pragma once

#include <string>
#include <vector>

#include "planner/calibration.h"

namespace borealis {

// Steps as a table of comma-separated values, whose first line names the columns, in any order:
//   hidden_size intermediate_size num_attention_heads num_key_value_heads head_dim vocab_size
//   num_hidden_layers seq_length micro_batch_size grad_accum_steps hosts ranks_per_host
//   tokens_per_gpu_per_second
// and where they are not 0: recompute_segment, tie_word_embeddings, zero_stage. Rows get the name
// "row <n>". Throws Error(kData) with `file` and the line.
std::vector<MeasuredStep> parse_step_table(const std::string& text, const std::string& file,
                                           DType dtype);

}  // namespace borealis
