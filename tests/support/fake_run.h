// Folders of finished runs, made by the same writers that a training run uses.
#pragma once

#include <cmath>
#include <filesystem>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/random.h"
#include "config/run_config.h"
#include "model/accounting.h"
#include "telemetry/metrics_file.h"
#include "telemetry/run_summary.h"

namespace borealis {

struct FakeRun {
  int64_t steps = 300;
  int64_t validation_interval = 25;  // 0: none
  std::vector<int64_t> nan_steps;    // iterations whose loss is not finite
};

inline RunConfig fake_config(int64_t steps) {
  RunConfig config;
  config.model.name = "borealis-mini";
  config.model.num_hidden_layers = 6;
  config.model.hidden_size = 384;
  config.model.num_attention_heads = 6;
  config.model.num_key_value_heads = 2;
  config.model.head_dim = 64;
  config.model.intermediate_size = 1024;
  config.model.vocab_size = 8192;
  config.model.rope_theta = 50000;
  config.model.rope_on_layer = {true, true, true, false, true, true};
  config.batch = {512, 4, 2, 8};
  config.limits.train_iters = steps;
  config.data.data_file_list = "ALCF/data-lists/books.txt";
  config.data.tokenizer_type = "HFTokenizer";
  config.data.tokenizer_model = "data/kjv/tokenizer.json";
  config.output.checkpoint_dir = "checkpoints/borealis-mini";
  return config;
}

// A plausible run: loss decays towards 3.2 with noise, warm-up and cosine, a slow first step.
inline StepRecord fake_step(int64_t iteration, const FakeRun& run) {
  const RandomStream random(7, 1);
  const auto noise = [&](uint64_t kind) {
    return random.normal(static_cast<uint64_t>(iteration) * 8 + kind);
  };
  const double progress = static_cast<double>(iteration) / static_cast<double>(run.steps);
  StepRecord step;
  step.iteration = iteration;
  step.global_batch_size = 8;
  step.consumed_samples = iteration * 8;
  step.consumed_tokens = iteration * 8 * 512;
  step.learning_rate = progress < 0.05
                           ? 6e-4 * progress / 0.05
                           : 3e-4 * (1 + std::cos(std::numbers::pi * (progress - 0.05) / 0.95));
  step.next_learning_rate = step.learning_rate;
  step.lm_loss = 3.2 + 5.8 * std::exp(-6 * progress) + 0.06 * noise(0);
  step.grad_norm = 0.4 + 6 * std::exp(-12 * progress) + 0.05 * std::abs(noise(1));
  step.forward_ms = 148 + 3 * std::abs(noise(2));
  step.backward_ms = 301 + 5 * std::abs(noise(3));
  step.optimizer_ms = 21.5 + std::abs(noise(4));
  step.data_ms = 0.4;
  step.elapsed_ms =
      step.forward_ms + step.backward_ms + step.optimizer_ms + step.data_ms + 2.6 +
      (iteration == 1 ? 700 : 0) +
      (run.validation_interval > 0 && iteration % run.validation_interval == 1 ? 900 : 0);
  step.samples_per_second = 8e3 / step.elapsed_ms;
  step.tokens_per_gpu_per_second = step.samples_per_second * 512;
  step.tflops = step.tokens_per_gpu_per_second * 9.42e7 * 1e-12;
  step.gemm_share = step.tflops / 1.234;
  for (const int64_t bad : run.nan_steps) {
    if (iteration >= bad) ++step.skipped_iterations;
    if (iteration != bad) continue;
    step.skipped = true;
    step.lm_loss = std::numeric_limits<double>::quiet_NaN();
    step.grad_norm = std::numeric_limits<double>::infinity();
  }
  return step;
}

inline RunSummary fake_summary(const std::vector<StepRecord>& steps) {
  RunSummary summary = start_run_summary(fake_config(static_cast<int64_t>(steps.size())));
  summary.parameters = 15533184;
  summary.planned_memory_bytes = 604 << 20;
  summary.peak_memory_bytes = 617 << 20;
  summary.memory_classes = {
      {"activations", 271 << 20},     {"optimizer state (fp32 master, two moments)", 178 << 20},
      {"gradients (fp32)", 59 << 20}, {"weights (bf16)", 30 << 20},
      {"working buffers", 24 << 20},  {"program", 42 << 20}};
  summary.gemm_tflops = 1.234;
  summary.gemm_measurement = "oneDNN bf16, 4096 x 384 x 1024, 2 threads, best of 5";
  summary.isa = "avx512_bf16";
  summary.flops_per_token = 9.42e7;
  summary.flops_formula_name = kFlopsFormulaName;
  summary.flops_formula = kFlopsFormula;
  summary.time_to_first_step_s = 0.83;
  summary.checkpoint = "checkpoints/borealis-mini/final";
  summary.stopped_by = "train_iters";
  summary.wall_time_s = 151.2;
  summary.version = "0.1.0 (abcdef0)";
  summary.sample_prompt = "In the beginning";
  summary.sample_text =
      "In the beginning of the reign of Jehoiakim, <king> & lord of Judah, came this word unto "
      "Jeremiah from the LORD, saying, Thus saith the LORD of hosts; I will send upon them the "
      "sword, the famine, and the pestilence.";
  summarize_steps(steps, summary);
  return summary;
}

// Fills `run_dir` as a finished run would.
inline void write_fake_run(const std::filesystem::path& run_dir, const FakeRun& run) {
  borealis::create_directories(run_dir);
  MetricsWriter writer(run_dir);
  std::vector<StepRecord> steps;
  for (int64_t iteration = 1; iteration <= run.steps; ++iteration) {
    steps.push_back(fake_step(iteration, run));
    writer.write(steps.back());
    if (run.validation_interval > 0 && iteration % run.validation_interval == 0) {
      const double loss = 3.3 + 5.8 * std::exp(-6.0 * static_cast<double>(iteration) /
                                               static_cast<double>(run.steps));
      writer.write(ValidationRecord{iteration, loss, std::exp(std::min(20.0, loss))});
    }
  }
  write_run_summary(run_dir, fake_summary(steps));
  write_file_atomically(run_dir / "config.json",
                        "{\n  \"model\": {\"name\": \"borealis-mini\"}\n}\n");
}

}  // namespace borealis
