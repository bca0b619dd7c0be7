#include "checkpoint/foreign_weights.h"

#include <gtest/gtest.h>

#include "checkpoint/model_folder.h"
#include "checkpoint/run_checkpoints.h"
#include "checkpoint/small_folders.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace borealis::testing {
namespace {

namespace fs = std::filesystem;

void expect_refused(const std::string& file, const std::string& what, const std::string& remedy) {
  const TemporaryFolder folder;
  write_file(folder.path() / file, "cos\nsystem\n");  // the beginning of a pickle that does harm
  EXPECT_ERROR(refuse_foreign_weights(folder.path()), ErrorKind::kData,
               (folder.path() / file).string() + " is " + what + ", which is not opened", remedy);
  EXPECT_ERROR(refuse_foreign_weights(folder.path() / file), ErrorKind::kData, what);
  EXPECT_ERROR(find_model_folder(folder.path()), ErrorKind::kData, what);
  EXPECT_ERROR(find_model_folder(folder.path() / file), ErrorKind::kData, what);
  write_file(folder.path() / "config.json", "{}");
  EXPECT_ERROR(ModelWeights(folder.path()), ErrorKind::kData, what);
}

TEST(ForeignWeights, AreRefusedByNameWithWhatToDo) {
  const char* transformers = "save_pretrained(OUT, safe_serialization=True)";
  expect_refused("pytorch_model.bin", "a pickle", transformers);
  expect_refused("pytorch_model-00001-of-00002.bin", "a pickle", transformers);
  expect_refused("consolidated.00.pth", "a pickle", transformers);
  expect_refused("model.pt", "a pickle", transformers);
  expect_refused("last.ckpt", "a pickle", transformers);
  expect_refused("mp_rank_00_model_states.pt", "a pickled checkpoint of Megatron-DeepSpeed",
                 "Megatron-DeepSpeed's own exporter");
  expect_refused("bf16_zero_pp_rank_3_mp_rank_00_optim_states.pt",
                 "a pickled checkpoint of Megatron-DeepSpeed", "own exporter");
  expect_refused("layer_01-model_00-model_states.pt", "a pickled checkpoint of Megatron-DeepSpeed",
                 "own exporter");
  expect_refused("__0_0.distcp", "a checkpoint of torch.distributed.checkpoint", "convert it with");
  expect_refused("adapter_model.safetensors", "a LoRA adapter without its model",
                 "merge_and_unload()");
  expect_refused("tiny-q4.gguf", "a GGUF file", "safetensors");
  expect_refused("flax_model.msgpack", "weights of Flax", transformers);
}

TEST(ForeignWeights, AreFoundWhereLatestPoints) {
  const TemporaryFolder folder;
  fs::create_directory(folder.path() / "global_step100");
  write_file(folder.path() / "latest", "global_step100\n");
  write_file(folder.path() / "global_step100/mp_rank_00_model_states.pt", "");
  EXPECT_ERROR(find_model_folder(folder.path()), ErrorKind::kData,
               "global_step100/mp_rank_00_model_states.pt is a pickled checkpoint");
  write_file(folder.path() / "latest", "../elsewhere");
  EXPECT_ERROR(find_model_folder(folder.path()), ErrorKind::kData, "which is no model folder");
}

TEST(ForeignWeights, DoNotMatterBesideSafetensors) {
  const TemporaryFolder folder;
  save_converted(folder.path() / "m", model_of(tiny_values()));
  write_file(folder.path() / "m/pytorch_model.bin", "");
  EXPECT_EQ(find_model_folder(folder.path() / "m"), folder.path() / "m");
  EXPECT_EQ(ModelWeights(folder.path() / "m").names().size(), 2u);
}

TEST(ForeignWeights, NothingElseIsTakenForThem) {
  const TemporaryFolder folder;
  for (const char* name : {"config.json", "notes.txt", "optimizer.bin", "latest"}) {
    write_file(folder.path() / name, "");
  }
  refuse_foreign_weights(folder.path());
  refuse_foreign_weights(folder.path() / "nowhere");
}

}  // namespace
}  // namespace borealis::testing
