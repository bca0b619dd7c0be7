#include "watch/run_json.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/json_excerpt.h"
#include "telemetry/finite_or_null.h"

namespace borealis {
namespace {

using Json = nlohmann::ordered_json;

Json count(int64_t value) { return value > 0 ? Json(value) : Json(nullptr); }
Json text(const std::string& value) { return value.empty() ? Json(nullptr) : Json(value); }

void add_step(const StepRecord* step, Json& json) {
  const StepRecord none = {.iteration = 0,
                           .elapsed_ms = NAN,
                           .learning_rate = NAN,
                           .grad_norm = {},
                           .tokens_per_gpu_per_second = NAN,
                           .tflops = NAN,
                           .gemm_share = NAN};
  const StepRecord& last = step == nullptr ? none : *step;
  json["grad_norm"] = finite_or_null(last.grad_norm);
  json["learning_rate"] = finite_or_null(last.learning_rate);
  json["step_ms"] = finite_or_null(last.elapsed_ms);
  json["tokens_per_gpu_per_second"] = finite_or_null(last.tokens_per_gpu_per_second);
  json["tflops"] = finite_or_null(last.tflops);
  json["gemm_share"] = finite_or_null(last.gemm_share);
  json["skipped_iterations"] = last.skipped_iterations;
}

}  // namespace

std::string watched_run_json(const WatchedRun& run) {
  const StepRecord* step = run.last_step();
  Json json;
  json["run_dir"] = run.folder.string();
  json["model_name"] = run.summary.model_name;
  json["host"] = run.summary.machine.hostname;
  json["state"] = run_condition_name(run.life.state);
  json["reason"] = text(run.life.reason);
  json["problem"] = text(run.problem);
  json["seconds_since_change"] = finite_or_null(std::round(run.life.silent_s));
  json["seconds_without_a_step"] = finite_or_null(std::round(run.life.stalled_s));
  json["iteration"] = step == nullptr ? run.summary.resumed_at_iteration : step->iteration;
  json["train_iters"] = count(run.train_iters);
  json["seconds_left"] = finite_or_null(run.seconds_left);
  json["world_size"] = run.summary.world_size;
  json["lm_loss"] = finite_or_null(step == nullptr ? NAN : step->lm_loss);
  json["step_skipped"] = step != nullptr && step->skipped;
  add_step(step, json);
  json["resident_bytes"] = count(run.system ? run.system->resident_bytes : 0);
  json["planned_memory_bytes"] = count(run.summary.planned_memory_bytes);
  json["peak_memory_bytes"] = count(run.summary.peak_memory_bytes);
  json["machine_memory_bytes"] = count(run.summary.machine.memory_bytes);
  json["power_watts"] = finite_or_null(run.system ? run.system->power_watts : NAN);
  json["validation_loss"] = finite_or_null(run.validation ? run.validation->lm_loss : NAN);
  json["validation_iteration"] = count(run.validation ? run.validation->iteration : 0);
  json["checkpoint"] = text(run.checkpoint);
  return json_text(json);
}

}  // namespace borealis
