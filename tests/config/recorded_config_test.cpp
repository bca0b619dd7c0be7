#include "config/recorded_config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "config/option_limits.h"
#include "config/run_config_json.h"
#include "support/expect_error.h"
#include "support/small_models.h"

namespace borealis {
namespace {

using Json = nlohmann::json;

RunConfig some_run() {
  RunConfig run;
  run.model = testing::small_llama(3);
  run.model.name = "small-nLayers3";
  run.model.tie_word_embeddings = true;
  run.batch = {
      .seq_length = 16, .micro_batch_size = 2, .grad_accum_steps = 3, .global_batch_size = 24};
  run.parallel.world_size = 4;
  run.parallel.hosts = 2;
  run.parallel.zero_stage = 3;
  run.parallel.zero_hpz_partition_size = 2;
  run.parallel.grad_reduce_in_bf16 = true;
  run.recompute = {.enabled = true, .layers_per_segment = 2};
  run.dtype = DType::kF32;
  run.machine.threads = 5;
  return run;
}

TEST(RecordedConfig, HasWhatWasWritten) {
  const RunConfig run = some_run();
  const RunConfig read = parse_recorded_config(to_json(run), "config.json");
  const Json written = to_json(run), again = to_json(read);
  for (const char* key : {"batch", "parallel", "recompute", "dtype"}) {
    EXPECT_EQ(again.at(key), written.at(key)) << key;
  }
  for (const char* key :
       {"name", "num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads",
        "head_dim", "intermediate_size", "vocab_size", "tie_word_embeddings"}) {
    EXPECT_EQ(again.at("model").at(key), written.at("model").at(key)) << key;
  }
  EXPECT_EQ(read.machine.threads, 5);
}

TEST(RecordedConfig, OfOlderVersionsLacksWhatTheyDidNotHave) {
  Json json = to_json(some_run());
  for (const char* key : {"hosts", "zero_hpz_partition_size", "grad_reduce_in_bf16"}) {
    json["parallel"].erase(key);
  }
  const RunConfig read = parse_recorded_config(json, "config.json");
  EXPECT_EQ(read.parallel.hosts, 1);
  EXPECT_EQ(read.parallel.zero_hpz_partition_size, 1);
  EXPECT_FALSE(read.parallel.grad_reduce_in_bf16);
}

TEST(RecordedConfig, RefusesWhatNoRunHas) {
  const auto with = [](const char* pointer, const Json& value) {
    Json json = to_json(some_run());
    json[Json::json_pointer(pointer)] = value;
    return parse_recorded_config(json, "a/config.json");
  };
  const auto expect = [&](const char* pointer, const Json& value, const char* why) {
    EXPECT_ERROR(with(pointer, value), ErrorKind::kData,
                 "a/config.json is not the configuration of a run (", why);
  };
  expect("/batch/seq_length", 2.5, "\"seq_length\" is 2.5, which is not a whole number of 1 to");
  expect("/model/num_hidden_layers", 10001, "a whole number of 1 to 10000");
  expect("/model/vocab_size", uint64_t{1} << 63, "\"vocab_size\" is 9223372036854775808");
  expect("/parallel/hosts", 3, "4 ranks on 3 hosts");
  expect("/parallel/zero_stage", 4, "\"zero_stage\" is 4");
  expect("/dtype", "fp8", "dtype fp8");
  expect("/model", 3, "a plain value where an object is expected");
  EXPECT_ERROR(parse_recorded_config(Json::array(), "c"), ErrorKind::kData, "c is not the");
}

TEST(RecordedConfig, AShapeHasTheBoundsOfARun) {
  ModelConfig model = testing::small_llama(10000);
  require_shape(model);
  model.num_hidden_layers = 10001;
  EXPECT_ERROR(require_shape(model), ErrorKind::kData,
               "num_hidden_layers 10001 has no shape: it can be 1 to 10000");
  model = testing::small_llama(3);
  model.vocab_size = kMaxVocab;
  require_shape(model);
  ++model.vocab_size;
  EXPECT_ERROR(require_shape(model), ErrorKind::kData, "vocab_size 2147483521 has no shape");
}

}  // namespace
}  // namespace borealis
