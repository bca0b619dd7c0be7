// Runs as a performance report sees them, made of round numbers.
#pragma once

#include <string>
#include <vector>

#include "model/accounting.h"
#include "publish/measured_run.h"

namespace borealis {

// A llama3-shaped run of world size 1 whose steps took these times in ms.
inline MeasuredRun measured_run(const std::string& family, int64_t layers,
                                const std::vector<double>& step_ms) {
  MeasuredRun run;
  run.source = "logs/" + family + std::to_string(layers);
  run.family = family;
  run.started_at = "2026-01-02-030405";
  run.state = "finished";
  run.version = "0.1.0 (abcdef0)";
  run.model.name = family + "-nLayers" + std::to_string(layers);
  run.model.num_hidden_layers = layers;
  run.model.hidden_size = 256;
  run.model.num_attention_heads = 6;
  run.model.num_key_value_heads = 2;
  run.model.head_dim = 64;
  run.model.intermediate_size = 512;
  run.model.vocab_size = 1000;
  run.model.rope_on_layer.assign(static_cast<size_t>(layers), true);
  run.parameters = parameter_count(run.model);
  run.seq_length = 128;
  run.micro_batch_size = 2;
  run.grad_accum_steps = 4;
  run.global_batch_size = 8;
  run.dtype = "bf16";
  run.isa = "avx512_bf16";
  run.machine = {"host", "Some CPU", 2, int64_t{24} << 30, "Debian"};
  run.gemm_tflops = 0.5;
  run.planned_bytes = layers * 1000;
  run.peak_bytes = layers * 1001;
  run.settings = {{"SEQ", "128"}, {"NLAYERS", std::to_string(layers)}};
  const double flops = flops_per_token(run.model, run.seq_length);
  for (const double ms : step_ms) {
    StepRecord step;
    step.iteration = static_cast<int64_t>(run.steps.size()) + 2;
    step.global_batch_size = 8;
    step.consumed_tokens = step.iteration * 8 * 128;
    step.elapsed_ms = ms;
    step.samples_per_second = 8 / (ms * 1e-3);
    step.tokens_per_gpu_per_second = step.samples_per_second * 128;
    step.tflops = step.tokens_per_gpu_per_second * flops * 1e-12;
    step.lm_loss = 5;
    step.forward_ms = 0.3 * ms;
    step.backward_ms = 0.6 * ms;
    run.steps.push_back(step);
    run.loss.push_back({static_cast<double>(step.consumed_tokens), 5});
  }
  return run;
}

}  // namespace borealis
