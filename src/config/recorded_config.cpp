#include "config/recorded_config.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/json_number.h"
#include "config/option_limits.h"

namespace borealis {
namespace {

using Json = nlohmann::json;

constexpr int64_t kMostSize = int64_t{1} << 24;

int64_t size_of(const Json& object, const char* key, int64_t least = 1, int64_t most = kMostSize) {
  const Json& value = object.at(key);
  if (const auto number = whole_number_in(value, least, most)) return *number;
  throw Error(ErrorKind::kData, fmt::format("\"{}\" is {}", key, not_whole(value, least, most)));
}

ModelConfig model_of(const Json& json) {
  ModelConfig model;
  model.name = json.at("name");
  model.num_hidden_layers = size_of(json, "num_hidden_layers", 1, kMaxLayers);
  model.hidden_size = size_of(json, "hidden_size");
  model.num_attention_heads = size_of(json, "num_attention_heads");
  model.num_key_value_heads = size_of(json, "num_key_value_heads");
  model.head_dim = size_of(json, "head_dim");
  model.intermediate_size = size_of(json, "intermediate_size");
  model.vocab_size = size_of(json, "vocab_size", 1, kMaxVocab);
  model.tie_word_embeddings = json.at("tie_word_embeddings");
  return model;
}

BatchConfig batch_of(const Json& json) {
  return {.seq_length = size_of(json, "seq_length"),
          .micro_batch_size = size_of(json, "micro_batch_size"),
          .grad_accum_steps = size_of(json, "grad_accum_steps"),
          .global_batch_size = size_of(json, "global_batch_size", 1, kMostSize * kMostSize)};
}

// Without the keys that older versions did not write, what those versions did.
ParallelConfig parallel_of(const Json& json) {
  ParallelConfig parallel;
  parallel.world_size = size_of(json, "world_size");
  parallel.zero_stage = size_of(json, "zero_stage", 0, 3);
  if (json.contains("sequence_parallel_size")) {
    parallel.sequence_parallel_size = size_of(json, "sequence_parallel_size");
  }
  if (json.contains("hosts")) parallel.hosts = size_of(json, "hosts");
  if (json.contains("zero_hpz_partition_size")) {
    parallel.zero_hpz_partition_size = size_of(json, "zero_hpz_partition_size");
  }
  if (json.contains("grad_reduce_in_bf16")) {
    parallel.grad_reduce_in_bf16 = json.at("grad_reduce_in_bf16");
  }
  if (parallel.world_size % parallel.hosts != 0) {
    throw Error(ErrorKind::kData,
                fmt::format("{} ranks on {} hosts", parallel.world_size, parallel.hosts));
  }
  if (parallel.world_size % parallel.sequence_parallel_size != 0) {
    throw Error(ErrorKind::kData,
                fmt::format("{} ranks of which {} share a sequence", parallel.world_size,
                            parallel.sequence_parallel_size));
  }
  return parallel;
}

DType dtype_of(const Json& json) {
  const std::string name = json;
  for (const DType dtype : {DType::kBF16, DType::kF32}) {
    if (name == dtype_name(dtype)) return dtype;
  }
  throw Error(ErrorKind::kData, fmt::format("dtype {}", name));
}

RunConfig config_of(const Json& json) {
  RunConfig config;
  config.model = model_of(json.at("model"));
  config.batch = batch_of(json.at("batch"));
  config.parallel = parallel_of(json.at("parallel"));
  const Json& recompute = json.at("recompute");
  config.recompute = {.enabled = recompute.at("enabled"),
                      .layers_per_segment = size_of(recompute, "layers_per_segment")};
  config.dtype = dtype_of(json.at("dtype"));
  const Json& machine = json.at("machine");
  config.machine.threads = size_of(machine, "threads", 0);
  if (machine.contains("deterministic")) config.machine.deterministic = machine.at("deterministic");
  if (json.contains("profile")) config.profile.enabled = json.at("profile").at("enabled");
  return config;
}

}  // namespace

RunConfig parse_recorded_config(const Json& config, const std::string& name) {
  std::string wrong;
  try {
    return config_of(config);
  } catch (const Json::exception& fault) {
    wrong = fault_text(fault);
  } catch (const Error& fault) {
    wrong = fault_text(fault);
  }
  throw Error(ErrorKind::kData,
              fmt::format("{} is not the configuration of a run ({})", name, wrong),
              "restore the file, or leave the run out");
}

void require_shape(const ModelConfig& model) {
  const auto require = [](const char* name, int64_t size, int64_t most = kMostSize) {
    if (size >= 1 && size <= most) return;
    throw Error(ErrorKind::kData, fmt::format("a model with {} {} has no shape: it can be 1 to {}",
                                              name, size, most));
  };
  require("num_hidden_layers", model.num_hidden_layers, kMaxLayers);
  require("hidden_size", model.hidden_size);
  require("num_attention_heads", model.num_attention_heads);
  require("num_key_value_heads", model.num_key_value_heads);
  require("head_dim", model.head_dim);
  require("intermediate_size", model.intermediate_size);
  require("vocab_size", model.vocab_size, kMaxVocab);
}

}  // namespace borealis
