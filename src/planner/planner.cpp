#include "planner/planner.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/direct_file.h"
#include "base/error.h"
#include "base/json_excerpt.h"
#include "base/rounding.h"
#include "base/units.h"
#include "device/read_device.h"
#include "model/step_kernels.h"

namespace borealis {
namespace {

// The plan is good to a few per cent and the kernel wants some room: a run that would fill the last
// byte does not fit.
constexpr double kReserve = 0.02;

// A GPU's memory is had in a few pieces, and nobody else's: what is uncertain is what its libraries
// take.
constexpr double kGpuReserve = 0.005;

double reserve_of(const MemoryLimit& limit) {
  return limit.source == kGpuLimit ? kGpuReserve : kReserve;
}

bool fits_within(int64_t bytes, const MemoryLimit& limit) { return bytes <= usable_bytes(limit); }

MemoryLimit gpu_limit(const GpuProfile& gpu, std::optional<int64_t> user_limit_bytes) {
  if (user_limit_bytes && *user_limit_bytes < gpu.memory_bytes) {
    return {*user_limit_bytes, kGivenLimit};
  }
  return {gpu.memory_bytes, kGpuLimit};
}

int64_t total_of(const RunConfig& config, const Prediction& like, int threads) {
  if (like.gpu) {
    GpuProfile gpu = *like.gpu;
    gpu.deterministic = config.machine.deterministic;
    return plan_memory(fitting_layout(config, threads, &gpu), profiled_steps(config), 0, 0)
        .total_bytes();
  }
  return plan_memory(make_run_layout(config, threads), profiled_steps(config),
                     like.memory.data_bytes, like.memory.program_bytes)
             .total_bytes() +
         like.memory.transfer_bytes;
}

}  // namespace

int64_t snapshot_share_bytes(const RunConfig& config, const MemoryLimit& limit,
                             int64_t snapshot_bytes) {
  const bool is_own = limit.source == kGivenLimit || limit.source == kAddressSpaceLimit ||
                      limit.source == kDataLimit;
  if (config.parallel.zero_stage > 0 || is_own) return snapshot_bytes;
  const int64_t ranks = config.machine.ranks_on_host;
  return divide_up(snapshot_bytes, ranks);
}

int64_t usable_bytes(const MemoryLimit& limit) {
  return static_cast<int64_t>((1.0 - reserve_of(limit)) * static_cast<double>(limit.bytes));
}

RunLayout fitting_layout(const RunConfig& config, int threads, const GpuProfile* gpu) {
  RunLayout layout = make_run_layout(config, threads, gpu);
  if (gpu == nullptr) return layout;
  const MemoryLimit limit = gpu_limit(*gpu, config.machine.memory_limit_bytes);
  constexpr int64_t kFewestRows = 1024;
  const auto fits = [&] {
    return fits_within(plan_memory(layout, profiled_steps(config), 0, 0).total_bytes(), limit);
  };
  int64_t& rows = layout.decoder.head_rows;
  for (rows = layout.decoder.gpu_ops().head_rows; rows > kFewestRows && !fits(); rows /= 2) {
  }
  return layout;
}

RunConfig with_layers(RunConfig config, int64_t layers) {
  config.model.num_hidden_layers = layers;
  config.model.rope_on_layer.resize(static_cast<size_t>(layers));
  return config;
}

int64_t largest_fitting(int64_t largest, const std::function<bool(int64_t)>& fits) {
  int64_t low = 0, high = largest;
  while (low < high) {
    const int64_t middle = (low + high + 1) / 2;
    if (fits(middle)) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

Prediction predict(const RunConfig& config, const RunLayout& layout, int64_t data_bytes,
                   int64_t program_bytes, bool loads) {
  Prediction prediction;
  prediction.parameters = parameter_count(config.model);
  prediction.flops_per_token = flops_per_token(config.model, config.batch.seq_length);
  prediction.memory = plan_memory(layout, profiled_steps(config), data_bytes, program_bytes);
  MemoryPlan& memory = prediction.memory;
  if (config.output.save_checkpoints || loads) memory.transfer_bytes = DirectBlocks::kMemoryBytes;
  if (layout.is_on_gpu()) {
    prediction.gpu = layout.decoder.gpu;
    prediction.limit = gpu_limit(*prediction.gpu, config.machine.memory_limit_bytes);
    prediction.fits = fits_within(memory.total_bytes(), prediction.limit);
    // The host reads the state in its own memory alone.
    prediction.host_limit = memory_limit(std::nullopt, config.machine.ranks_on_host);
    prediction.saves_in_background = config.output.save_checkpoints && !layout.shards_weights();
    if (prediction.saves_in_background) {
      memory.snapshot_bytes = memory.weights_bytes + memory.optimizer_bytes;
    } else if (config.output.save_checkpoints) {
      memory.transfer_bytes += static_cast<int64_t>(kDeviceReadBytes);
    }
    prediction.fits_on_host =
        fits_within(memory.host_bytes() - memory.snapshot_bytes +
                        snapshot_share_bytes(config, prediction.host_limit, memory.snapshot_bytes),
                    prediction.host_limit);
    return prediction;
  }
  prediction.limit = memory_limit(config.machine.memory_limit_bytes, config.machine.ranks_on_host);
  prediction.fits = fits_within(memory.total_bytes(), prediction.limit);
  if (prediction.fits && config.saves_while_training()) {
    const int64_t snapshot = memory.weights_bytes + memory.optimizer_bytes;
    // Sharded weights are gathered unit by unit to be written, by all ranks together.
    prediction.saves_in_background =
        !layout.shards_weights() &&
        fits_within(memory.total_bytes() + snapshot_share_bytes(config, prediction.limit, snapshot),
                    prediction.limit);
    if (prediction.saves_in_background) memory.snapshot_bytes = snapshot;
  }
  return prediction;
}

std::string host_shortfall(const Prediction& prediction) {
  if (prediction.fits_on_host) return "";
  return fmt::format(
      "the host needs {} beside the GPU, {} of it a copy of the state to save it from, more than "
      "the {} of {}",
      format_bytes(prediction.memory.host_bytes()), format_bytes(prediction.memory.snapshot_bytes),
      format_bytes(prediction.host_limit.bytes), prediction.host_limit.source);
}

std::string saving_line(const RunConfig& config, const Prediction& prediction) {
  if (!config.saves_while_training() || !prediction.fits) return "";
  if (prediction.saves_in_background) {
    return "checkpoints are written in the background, with a second place for the state";
  }
  if (config.parallel.zero_stage == 3 && config.parallel.replicas() > 1) {
    return "checkpoints are written in the foreground, with ZERO_STAGE=3";
  }
  const std::string state =
      format_bytes(prediction.memory.weights_bytes + prediction.memory.optimizer_bytes);
  if (prediction.rank_without_copy) {
    return fmt::format(
        "checkpoints are written in the foreground: rank {} has no memory for a second place for "
        "its state (here {})",
        *prediction.rank_without_copy, state);
  }
  return fmt::format(
      "checkpoints are written in the foreground: a second place for the state ({}) does not fit "
      "besides",
      state);
}

namespace {

Prediction predict_pass(const ModelConfig& model, int64_t seq_length, const MemoryPlan& memory,
                        const std::optional<GpuProfile>& gpu,
                        std::optional<int64_t> memory_limit_bytes) {
  Prediction prediction;
  prediction.parameters = parameter_count(model);
  prediction.flops_per_token = flops_per_token(model, seq_length) / 3;
  prediction.memory = memory;
  prediction.gpu = gpu;
  prediction.limit = gpu ? gpu_limit(*gpu, memory_limit_bytes) : memory_limit(memory_limit_bytes);
  prediction.fits = fits_within(memory.total_bytes(), prediction.limit);
  return prediction;
}

}  // namespace

Prediction predict_forward(const DecoderShape& shape, DType dtype, int64_t data_bytes,
                           int64_t program_bytes, std::optional<int64_t> memory_limit_bytes) {
  return predict_pass(shape.model, shape.seq_length,
                      plan_forward_memory(shape, dtype, data_bytes, program_bytes), shape.gpu,
                      memory_limit_bytes);
}

Prediction predict_generation(const GenerationShape& shape, DType dtype, int64_t data_bytes,
                              int64_t program_bytes, std::optional<int64_t> memory_limit_bytes) {
  return predict_pass(shape.model, shape.capacity,
                      plan_generation_memory(shape, dtype, data_bytes, program_bytes), shape.gpu,
                      memory_limit_bytes);
}

std::string memory_table(const Prediction& prediction, DType dtype) {
  std::string table;
  const auto row = [&](const std::string& name, int64_t bytes) {
    table += fmt::format("  {:<54} {:>12}\n", name, format_bytes(bytes));
  };
  for (const MemoryClass& entry : prediction.memory.classes(dtype)) row(entry.name, entry.bytes);
  row("total", prediction.memory.total_bytes());
  row(fmt::format("limit ({})", prediction.limit.source), prediction.limit.bytes);
  return table;
}

namespace {

// A change of settings, spelled as the user would make it.
struct Change {
  std::string setting;
  std::function<void(RunConfig&)> apply;
  bool needs_other_data = false;
};

// The global batch stays.
RunConfig with_sequence_parts(RunConfig config, int64_t parts) {
  int64_t& shared = config.parallel.sequence_parallel_size;
  config.batch.grad_accum_steps = config.batch.grad_accum_steps * parts / shared;
  shared = parts;
  return config;
}

// The fewest ranks that share sequences, more than do, with which the run fits; the most where it
// does with none, 1 where no more can.
int64_t more_sequence_parts(const RunConfig& config,
                            const std::function<bool(const RunConfig&)>& fits) {
  const int64_t now = config.parallel.sequence_parallel_size;
  const int64_t most =
      std::gcd(config.parallel.replicas(),
               std::gcd(config.model.num_key_value_heads, config.batch.seq_length));
  for (int64_t parts = 2 * now; parts < most; parts += now) {
    if (most % parts == 0 && fits(with_sequence_parts(config, parts))) return parts;
  }
  return most > now ? most : 1;
}

// What a run may do without, dearest last: memory for time, then the shape of a step, then of the
// model.
std::vector<Change> changes_of(const RunConfig& config, const std::optional<GpuProfile>& gpu,
                               const std::function<bool(const RunConfig&)>& fits) {
  std::vector<Change> changes;
  if (gpu && config.machine.deterministic) {
    changes.push_back(
        {"DETERMINISTIC=0", [](RunConfig& run) { run.machine.deterministic = false; }});
  }
  // GPUs that exchange through their hosts have no further stage.
  const int most = gpu && !gpu->has_group ? 1 : 3;
  for (const int stage : {1, 3}) {
    if (config.parallel.replicas() == 1 || config.parallel.zero_stage >= stage || stage > most) {
      continue;
    }
    changes.push_back({fmt::format("ZERO_STAGE={}", stage),
                       [stage](RunConfig& run) { run.parallel.zero_stage = stage; }});
  }
  if (config.parallel.zero_hpz_partition_size > 1) {
    changes.push_back({"ZERO_HPZ_PARTITION_SIZE=1",
                       [](RunConfig& run) { run.parallel.zero_hpz_partition_size = 1; }});
  }
  if (!config.recompute.enabled) {
    changes.push_back({"USE_ACTIVATION_CHECKPOINTING=1", [](RunConfig& run) {
                         run.recompute = {true, 1};
                       }});
  }
  const int64_t parts = gpu ? 1 : more_sequence_parts(config, fits);
  if (parts > 1) {
    const RunConfig shared = with_sequence_parts(config, parts);
    changes.push_back({fmt::format("SP={} GRAD_ACC_STEPS={}", parts, shared.batch.grad_accum_steps),
                       [parts](RunConfig& run) { run = with_sequence_parts(run, parts); }});
  }
  if (config.batch.micro_batch_size > 1) {
    changes.push_back({"MICRO_BATCH=1", [](RunConfig& run) { run.batch.micro_batch_size = 1; }});
  }
  const int64_t shares = std::max(parts, config.parallel.sequence_parallel_size);
  if (config.batch.seq_length > 1024 && 1024 % shares == 0) {
    changes.push_back({"--seq-length 1024", [](RunConfig& run) { run.batch.seq_length = 1024; }});
  }
  if (!config.model.tie_word_embeddings) {
    changes.push_back(
        {"--tie-word-embeddings", [](RunConfig& run) { run.model.tie_word_embeddings = true; }});
  }
  if (config.model.vocab_size > 32000) {
    changes.push_back({fmt::format("a tokenizer of 32000 entries instead of {} (TOKENIZER_MODEL)",
                                   config.model.vocab_size),
                       [](RunConfig& run) { run.model.vocab_size = 32000; }, true});
  }
  return changes;
}

}  // namespace

std::vector<std::string> ways_to_fit(const RunConfig& config, const Prediction& prediction,
                                     int threads) {
  std::vector<std::string> ways;
  const auto bytes_of = [&](const RunConfig& changed) {
    return total_of(changed, prediction, threads);
  };
  const auto fits = [&](const RunConfig& changed) {
    return fits_within(bytes_of(changed), prediction.limit);
  };
  const auto add = [&](const std::string& settings, const RunConfig& changed) {
    ways.push_back(fmt::format("{} ({})", settings, format_bytes(bytes_of(changed))));
  };
  // The most layers that fit, if fewer do.
  const auto add_layers = [&](const std::string& settings, const RunConfig& changed) {
    const int64_t layers = largest_fitting(config.model.num_hidden_layers - 1, [&](int64_t n) {
      return fits(with_layers(changed, n));
    });
    if (layers == 0) return false;
    add(fmt::format("{}{}NLAYERS={}", settings, settings.empty() ? "" : " ", layers),
        with_layers(changed, layers));
    return true;
  };
  const std::vector<Change> changes = changes_of(config, prediction.gpu, fits);
  bool found = false;  // one that leaves the data as it is
  for (const Change& change : changes) {
    RunConfig changed = config;
    change.apply(changed);
    if (!fits(changed)) continue;
    add(change.setting, changed);
    found |= !change.needs_other_data;
  }
  found |= add_layers("", config);
  // One after the other until they do, for all layers and for fewer.
  RunConfig changed = config;
  std::string settings;
  bool fewer = found;
  for (const Change& change : changes) {
    const bool first = settings.empty();
    change.apply(changed);
    settings = fmt::format("{}{}{}", settings, first ? "" : " ", change.setting);
    if (fits(changed)) {
      if (!first && !found) add(settings, changed);
      break;
    }
    if (!fewer) fewer = add_layers(settings, changed);
  }
  return ways;
}

namespace {

[[noreturn]] void refuse(const std::string& name, const Prediction& prediction, DType dtype,
                         const std::vector<std::string>& ways) {
  const int64_t total = prediction.memory.total_bytes();
  std::string problem = fmt::format(
      "{} needs {}, {} more than the {} that {} allows ({} % of which are kept free)\n{}", name,
      format_bytes(total), format_bytes(total - usable_bytes(prediction.limit)),
      format_bytes(prediction.limit.bytes), prediction.limit.source,
      100 * reserve_of(prediction.limit), memory_table(prediction, dtype));
  const bool is_set = prediction.limit.source == kGivenLimit;
  const std::string& source = prediction.limit.source;
  if (!ways.empty()) {
    problem += "  any one of these lines makes it fit:";
  } else if (is_set) {
    problem += "  no other setting makes it fit: raise it, or choose a smaller model";
  } else if (source == kAddressSpaceLimit || source == kDataLimit) {
    problem +=
        fmt::format("  no setting makes it fit: raise {}, or choose a smaller model", source);
  } else {
    problem += "  no setting makes it fit: choose a smaller model, or a machine with more memory";
  }
  for (const std::string& way : ways) problem += "\n    " + way;
  throw Error(ErrorKind::kMemory, problem);
}

}  // namespace

void require_fit(const RunConfig& config, const Prediction& prediction, int threads) {
  if (const std::string shortfall = host_shortfall(prediction); !shortfall.empty()) {
    throw Error(ErrorKind::kMemory, shortfall, kHostRemedy);
  }
  if (prediction.fits) return;
  refuse(config.model.name, prediction, config.dtype, ways_to_fit(config, prediction, threads));
}

void require_forward_fit(const DecoderShape& shape, DType dtype, const Prediction& prediction) {
  if (prediction.fits) return;
  std::vector<std::string> ways;
  const auto try_setting = [&](const std::string& setting, const DecoderShape& changed,
                               DType stored) {
    const int64_t bytes = plan_forward_memory(changed, stored, prediction.memory.data_bytes,
                                              prediction.memory.program_bytes)
                              .total_bytes();
    if (fits_within(bytes, prediction.limit)) {
      ways.push_back(fmt::format("{} ({})", setting, format_bytes(bytes)));
    }
  };
  constexpr int64_t kShortSequence = 512;
  DecoderShape changed = shape;
  changed.micro_batch_size = 1;
  if (shape.micro_batch_size > 1) try_setting("--batch-size 1", changed, dtype);
  changed.seq_length = std::min(shape.seq_length, kShortSequence);
  if (shape.seq_length > kShortSequence) {
    try_setting(fmt::format("--batch-size 1 --seq-length {}", kShortSequence), changed, dtype);
  }
  if (dtype == DType::kF32) {
    changed = shape;
    changed.mode = product_mode(DType::kBF16);
    try_setting("--dtype bf16", changed, DType::kBF16);
  }
  refuse(shape.model.name, prediction, dtype, ways);
}

void require_generation_fit(const GenerationShape& shape, DType dtype, int64_t longest_prompt,
                            const Prediction& prediction) {
  if (prediction.fits) return;
  std::vector<std::string> ways;
  const auto bytes_of = [&](const GenerationShape& changed, DType stored) {
    return plan_generation_memory(changed, stored, prediction.memory.data_bytes,
                                  prediction.memory.program_bytes)
        .total_bytes();
  };
  const auto try_setting = [&](const std::string& setting, const GenerationShape& changed,
                               DType stored) {
    const int64_t bytes = bytes_of(changed, stored);
    if (fits_within(bytes, prediction.limit)) {
      ways.push_back(fmt::format("{} ({})", setting, format_bytes(bytes)));
    }
  };
  const auto with = [&](int64_t sequences, int64_t new_tokens) {
    GenerationShape changed = shape;
    changed.sequences = sequences;
    changed.capacity = longest_prompt + new_tokens;
    return changed;
  };
  const int64_t new_tokens = shape.capacity - longest_prompt;
  const auto largest = [&](int64_t most, const std::function<GenerationShape(int64_t)>& shape_of) {
    return largest_fitting(most, [&](int64_t n) {
      return fits_within(bytes_of(shape_of(n), dtype), prediction.limit);
    });
  };
  const int64_t batch =
      largest(shape.sequences - 1, [&](int64_t n) { return with(n, new_tokens); });
  if (batch > 0) try_setting(fmt::format("--batch-size {}", batch), with(batch, new_tokens), dtype);
  const int64_t shorter =
      largest(new_tokens - 1, [&](int64_t n) { return with(shape.sequences, n); });
  if (shorter > 0) {
    try_setting(fmt::format("--max-new-tokens {}", shorter), with(shape.sequences, shorter), dtype);
  }
  if (dtype == DType::kF32) {
    GenerationShape changed = shape;
    changed.mode = product_mode(DType::kBF16);
    try_setting("--dtype bf16", changed, DType::kBF16);
  }
  refuse(shape.model.name, prediction, dtype, ways);
}

std::string prediction_json(const RunConfig& config, const Prediction& prediction) {
  const ModelConfig& model = config.model;
  nlohmann::ordered_json classes = nlohmann::ordered_json::array();
  for (const MemoryClass& entry : prediction.memory.classes(config.dtype)) {
    classes.push_back({{"name", entry.name}, {"bytes", entry.bytes}});
  }
  nlohmann::ordered_json document = {
      {"architecture",
       {{"name", model.name},
        {"num_hidden_layers", model.num_hidden_layers},
        {"hidden_size", model.hidden_size},
        {"num_attention_heads", model.num_attention_heads},
        {"num_key_value_heads", model.num_key_value_heads},
        {"head_dim", model.head_dim},
        {"intermediate_size", model.intermediate_size},
        {"vocab_size", model.vocab_size},
        {"seq_length", config.batch.seq_length},
        {"tie_word_embeddings", model.tie_word_embeddings},
        {"note", model.note}}},
      {"device", prediction.gpu ? prediction.gpu->name : "cpu"},
      {"parameters", prediction.parameters},
      {"flops_per_token", prediction.flops_per_token},
      {"flops_formula", kFlopsFormulaName},
      {"memory",
       {{"total_bytes", prediction.memory.total_bytes()},
        {"limit_bytes", prediction.limit.bytes},
        {"limit_source", prediction.limit.source},
        {"classes", classes}}},
      {"fits", prediction.fits && prediction.fits_on_host},
      {"saves_in_background", prediction.saves_in_background},
      {"notes", config.notes},
  };
  if (prediction.gpu) {
    document["host_memory"] = {{"total_bytes", prediction.memory.host_bytes()},
                               {"limit_bytes", prediction.host_limit.bytes},
                               {"limit_source", prediction.host_limit.source}};
  }
  return json_text(document, 2);
}

}  // namespace borealis
