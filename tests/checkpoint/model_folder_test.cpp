#include "checkpoint/model_folder.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "base/file.h"
#include "checkpoint/run_checkpoints.h"
#include "support/expect_error.h"
#include "support/paths.h"
#include "support/sentencepiece_bytes.h"
#include "support/temporary_folder.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

const fs::path kPeerModel = BOREALIS_GOLDEN_DIR "/checkpoint/peer_model";

void write(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    names.insert(entry.path().filename().string());
  }
  return names;
}

ModelConfig tiny_model() {
  ModelConfig model;
  model.name = "tiny";
  model.hf_model_type = "llama";
  model.num_hidden_layers = 1;
  model.hidden_size = 8;
  model.num_attention_heads = 2;
  model.num_key_value_heads = 1;
  model.head_dim = 4;
  model.intermediate_size = 16;
  model.vocab_size = 32;
  model.max_position_embeddings = 64;
  model.rope_theta = 10000;
  model.rope_on_layer = {true};
  return model;
}

// Two tensors whose values tell one save from another.
struct Weights {
  std::vector<float> embedding, norm;

  Weights(float value, size_t rows = 32) : embedding(rows * 8, value), norm(8, value + 1) {}
  std::vector<NamedTensor> tensors() const {
    return {{"model.embed_tokens.weight",
             DType::kF32,
             {static_cast<int64_t>(embedding.size() / 8), 8},
             embedding.data()},
            {"model.norm.weight", DType::kF32, {8}, norm.data()}};
  }
};

float first_norm_value(const fs::path& folder) {
  std::vector<float> values(8);
  ModelWeights(folder).read("model.norm.weight", std::vector<int64_t>{8}, std::span(values));
  return values.front();
}

TEST(ModelFolder, SavesWhatLoadersExpectAndReadsItBack) {
  const TemporaryFolder folder;
  const Weights weights(3);
  save_model(folder.path() / "m", tiny_model(), weights.tensors(), {});
  EXPECT_EQ(names_in(folder.path()), (std::set<std::string>{"m"}));
  EXPECT_EQ(names_in(folder.path() / "m"),
            (std::set<std::string>{"model.safetensors", "config.json", "generation_config.json"}));
  EXPECT_EQ(load_model_config(folder.path() / "m").vocab_size, 32);
  const ModelWeights read(folder.path() / "m");
  EXPECT_EQ(read.names(),
            (std::vector<std::string>{"model.embed_tokens.weight", "model.norm.weight"}));
  std::vector<bf16> rounded(256);
  read.read("model.embed_tokens.weight", std::vector<int64_t>{32, 8}, std::span(rounded));
  EXPECT_EQ(rounded[255].bits, bf16(3.0f).bits);
}

TEST(ModelFolder, ReplacesAnEarlierModelAndItsShards) {
  const TemporaryFolder folder;
  const fs::path model = folder.path() / "m";
  save_model(model, tiny_model(), Weights(1).tensors(), {.max_shard_bytes = 64});
  EXPECT_TRUE(fs::exists(model / "model.safetensors.index.json"));
  EXPECT_EQ(first_norm_value(model), 2);
  save_model(model.string() + "/", tiny_model(), Weights(5).tensors(), {});
  EXPECT_EQ(names_in(model),
            (std::set<std::string>{"model.safetensors", "config.json", "generation_config.json"}));
  EXPECT_EQ(first_norm_value(model), 6);
  EXPECT_EQ(names_in(folder.path()), (std::set<std::string>{"m"}));
}

TEST(ModelFolder, ReadsAModelThatThePeerSavedInShards) {
  const ModelConfig model = load_model_config(kPeerModel);
  EXPECT_EQ(model.hf_model_type, "smollm3");
  EXPECT_EQ(model.rope_theta, 1234);
  EXPECT_EQ(model.rope_on_layer, (std::vector<bool>{false, true}));
  EXPECT_EQ(load_special_tokens(kPeerModel).eos, std::vector<int64_t>{2});
  const ModelWeights weights(kPeerModel);
  EXPECT_EQ(weights.names().size(), 20u);
  EXPECT_EQ(weights.find("lm_head.weight"), nullptr);
  std::vector<float> norm(16);
  weights.read("model.layers.1.input_layernorm.weight", std::vector<int64_t>{16}, std::span(norm));
  EXPECT_EQ(norm, std::vector<float>(16, 1.0f));
}

TEST(ModelFolder, NamesAMissingTensorAndAWrongShape) {
  const ModelWeights weights(kPeerModel);
  std::vector<float> out(16);
  EXPECT_ERROR(weights.read("nothing", std::vector<int64_t>{16}, std::span(out)), ErrorKind::kData,
               "has no tensor nothing");
  EXPECT_ERROR(weights.read("model.norm.weight", std::vector<int64_t>{4, 4}, std::span(out)),
               ErrorKind::kData, "of shape [16] where config.json asks for [4, 4]");
}

TEST(ModelFolder, ReportsAFolderWithoutWeights) {
  const TemporaryFolder folder;
  EXPECT_ERROR(ModelWeights(folder.path()), ErrorKind::kFile,
               "neither model.safetensors nor model.safetensors.index.json");
  EXPECT_ERROR(load_model_config(folder.path()), ErrorKind::kFile, "config.json");
}

TEST(ModelFolder, RejectsABrokenIndex) {
  const TemporaryFolder folder;
  const auto expect_rejected = [&](const std::string& index, const std::string& message) {
    write(folder.path() / "model.safetensors.index.json", index);
    EXPECT_ERROR(ModelWeights(folder.path()), ErrorKind::kData, message);
  };
  write_safetensors(folder.path() / "a.safetensors", {});
  expect_rejected("{", "is not a JSON object with a weight_map");
  expect_rejected(R"({"weight_map":[]})", "is not a JSON object with a weight_map");
  expect_rejected(R"({"weight_map":{}})", "lists no tensors");
  expect_rejected(R"({"weight_map":{"x":1}})", "names no file for tensor x");
  expect_rejected(R"({"weight_map":{"x":"../a.safetensors"}})", "not a file of its folder");
  expect_rejected(R"({"weight_map":{"x":"b.safetensors"}})", "b.safetensors, which is not there");
  expect_rejected(R"({"weight_map":{"x":"a.safetensors"}})", "has no tensor x");
}

void save_with(const TokenizerSource& tokenizer, const fs::path& model) {
  const ModelCompanions companions(tokenizer);
  save_model(model, tiny_model(), Weights(1).tensors(), {.companions = &companions});
}

TEST(ModelFolder, ShipsTheTokenizer) {
  const TemporaryFolder folder;
  const fs::path source = folder.path() / "tokenizer.json";
  write(source, R"({"added_tokens":[{"id":0,"content":"<|endoftext|>"},{"id":3,"content":"<pad>"},)"
                R"({"id":9,"content":"[STOP]"}],"model":{"vocab":{"a":1}}})");
  const fs::path model = folder.path() / "m";
  save_with(TokenizerSource{.path = source.string()}, model);
  EXPECT_EQ(read_text_file(model / "tokenizer.json"), read_text_file(source));
  EXPECT_THAT(read_text_file(model / "tokenizer_config.json"),
              ::testing::HasSubstr(R"("eos_token": "<|endoftext|>")"));
  EXPECT_EQ(load_special_tokens(model).eos, std::vector<int64_t>{0});
  EXPECT_EQ(load_special_tokens(model).pad, 3);

  const std::string config = R"({"eos_token":{"content":"[STOP]"},"bos_token":null})";
  write(folder.path() / "tokenizer_config.json", config);
  save_with(TokenizerSource{.path = source.string()}, model);
  EXPECT_EQ(read_text_file(model / "tokenizer_config.json"), config);
  EXPECT_EQ(load_special_tokens(model).eos, std::vector<int64_t>{9});
  EXPECT_FALSE(load_special_tokens(model).bos.has_value());
}

TEST(ModelFolder, ShipsASentencePieceModel) {
  const TemporaryFolder folder;
  const fs::path source = folder.path() / "some.model";
  write(source, sentencepiece_model({"<unk>", "<s>", "</s>", "a"}));
  const fs::path model = folder.path() / "m";
  const auto save = [&](TokenizerType type) {
    save_with(TokenizerSource{.type = type, .path = source.string()}, model);
    EXPECT_EQ(read_text_file(model / "tokenizer.model"), read_text_file(source));
    return nlohmann::json::parse(read_text_file(model / "tokenizer_config.json"));
  };
  EXPECT_EQ(save(TokenizerType::kLlama2)["add_bos_token"], true);
  EXPECT_EQ(load_special_tokens(model).bos, 1);
  EXPECT_EQ(load_special_tokens(model).eos, std::vector<int64_t>{2});
  EXPECT_EQ(save(TokenizerType::kHuggingFace)["add_bos_token"], true);

  // What Hugging Face's class would do does not count where the type decides.
  const std::string config = R"({"add_bos_token": true, "add_eos_token": true, "eos_token": "a"})";
  write(folder.path() / "tokenizer_config.json", config);
  const nlohmann::json plain = save(TokenizerType::kGptSentencePiece);
  EXPECT_EQ(plain["add_bos_token"], false);
  EXPECT_EQ(plain["add_eos_token"], false);
  EXPECT_EQ(plain["eos_token"], "</s>");
  const nlohmann::json megatron = save(TokenizerType::kSentencePiece);
  EXPECT_EQ(megatron["eos_token"], "<EOD>");
  EXPECT_EQ(megatron["added_tokens_decoder"]["6"]["content"], "<EOD>");
  EXPECT_EQ(load_special_tokens(model).eos, std::vector<int64_t>{6});
  EXPECT_EQ(save(TokenizerType::kHuggingFace), nlohmann::json::parse(config));
  EXPECT_EQ(load_special_tokens(model).eos, std::vector<int64_t>{3});
}

TEST(ModelFolder, ShipsGpt2sFilesAndNumbers) {
  const TemporaryFolder folder;
  const fs::path model = folder.path() / "m";
  write(folder.path() / "gpt2-vocab.json", R"({"a": 0, "<|endoftext|>": 1})");
  write(folder.path() / "gpt2-merges.txt", "#version: 0.2\n");
  save_with(TokenizerSource{.type = TokenizerType::kGpt2,
                            .path = (folder.path() / "gpt2-vocab.json").string(),
                            .merges = (folder.path() / "gpt2-merges.txt").string()},
            model);
  EXPECT_TRUE(fs::exists(model / "vocab.json"));
  EXPECT_TRUE(fs::exists(model / "merges.txt"));
  EXPECT_EQ(load_special_tokens(model).eos, std::vector<int64_t>{1});
  save_with(TokenizerSource{.type = TokenizerType::kNull, .size = 7}, model);
  EXPECT_FALSE(fs::exists(model / "vocab.json"));
  EXPECT_EQ(nlohmann::json::parse(read_text_file(model / "tokenizer_config.json"))["vocab_size"],
            7);
  EXPECT_EQ(load_special_tokens(model).eos, std::vector<int64_t>{7});
}

// A run goes on for days: what it began with is saved, whatever became of the files.
TEST(ModelFolder, ShipsWhatWasThereWhenTheRunBegan) {
  const TemporaryFolder folder;
  const fs::path began = folder.path() / "began", model = folder.path() / "m";
  fs::create_directory(began);
  const std::string tokenizer = R"({"added_tokens":[{"id":0,"content":"</s>"}]})";
  write(began / "tokenizer.json", tokenizer);
  write(began / "config.json", "{}");
  write(began / "generation_config.json", R"({"eos_token_id": [1, 2], "temperature": 0.6})");
  write(began / "chat_template.jinja", "{{ messages }}");
  const TokenizerSource source{.path = (began / "tokenizer.json").string()};
  const ModelCompanions companions(source, began);
  fs::remove(began / "tokenizer.json");
  write_file_atomically(began / "chat_template.jinja", "another");
  save_model(model, tiny_model(), Weights(1).tensors(), {.companions = &companions});
  EXPECT_EQ(read_text_file(model / "tokenizer.json"), tokenizer);
  EXPECT_EQ(read_text_file(model / "chat_template.jinja"), "{{ messages }}");
  EXPECT_THAT(read_text_file(model / "generation_config.json"), ::testing::HasSubstr("0.6"));
  EXPECT_EQ(load_special_tokens(model).eos, (std::vector<int64_t>{1, 2}));
  EXPECT_THAT(read_text_file(model / "config.json"), ::testing::HasSubstr("eos_token_id"));
}

TEST(ModelFolder, ABrokenTokenizerLeavesTheEarlierModel) {
  const TemporaryFolder folder;
  const fs::path model = folder.path() / "m";
  save_model(model, tiny_model(), Weights(1).tensors(), {});
  write(folder.path() / "tokenizer.json", "{");
  EXPECT_ERROR(
      save_with(TokenizerSource{.path = (folder.path() / "tokenizer.json").string()}, model),
      ErrorKind::kData, "tokenizer.json: is not a JSON object");
  EXPECT_EQ(first_norm_value(model), 2);
}

TEST(ModelFolder, ReportsAPlaceThatCannotBeWritten) {
  const TemporaryFolder folder;
  write(folder.path() / "file", "");
  EXPECT_ERROR(save_model(folder.path() / "file" / "m", tiny_model(), Weights(1).tensors(), {}),
               ErrorKind::kFile, "file");
}

// A checkpoint of these weights, with no numbers of an optimizer.
fs::path save_step(const fs::path& root, int64_t step, const Weights& weights) {
  CheckpointContent content;
  content.model = tiny_model();
  content.tensors = weights.tensors();
  content.state.iteration = step;
  content.state.configuration = nlohmann::json::object();
  DirectBlocks blocks;
  CheckpointFolder checkpoint(root, step, blocks);
  checkpoint.write(content);
  return checkpoint.commit({});
}

// A file system of one mebibyte, for as long as the object lives.
class SmallDisk {
 public:
  static std::unique_ptr<SmallDisk> make() {
    auto disk = std::unique_ptr<SmallDisk>(new SmallDisk);
    const char* path = disk->folder_.path().c_str();
    disk->mounted_ = ::mount("tmpfs", path, "tmpfs", 0, "size=1m") == 0;
    return disk->mounted_ ? std::move(disk) : nullptr;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(folder_.path().c_str(), MNT_DETACH);
  }
  const fs::path& path() const { return folder_.path(); }

 private:
  SmallDisk() = default;
  TemporaryFolder folder_;
  bool mounted_ = false;
};

TEST(ModelFolder, AFullDiskLeavesTheEarlierCheckpoint) {
  const std::unique_ptr<SmallDisk> disk = SmallDisk::make();
  if (disk == nullptr) GTEST_SKIP() << "mounting a tmpfs needs root";
  save_step(disk->path(), 1, Weights(1));
  const Weights large(7, 1 << 16);  // 2 MiB
  EXPECT_ERROR(save_step(disk->path(), 2, large), ErrorKind::kFile, "cannot write",
               "No space left on device", "free some space");
  EXPECT_ERROR(save_step(disk->path(), 1, large), ErrorKind::kFile, "No space left on device");
  EXPECT_EQ(names_in(disk->path()),
            (std::set<std::string>{"global_step1", "latest", "latest_checkpointed_iteration.txt"}));
  EXPECT_EQ(first_norm_value(find_model_folder(disk->path())), 2);
}

TEST(RunCheckpoints, FollowsLatest) {
  const TemporaryFolder folder;
  const fs::path root = folder.path() / "checkpoints" / "run";
  save_step(root, 10, Weights(1));
  EXPECT_EQ(save_step(root, 20, Weights(2)), root / "global_step20");
  EXPECT_EQ(read_text_file(root / "latest"), "global_step20");
  EXPECT_EQ(read_text_file(root / "latest_checkpointed_iteration.txt"), "20");
  EXPECT_EQ(find_model_folder(root), root / "global_step20");
  EXPECT_EQ(find_model_folder(root / "global_step10"), root / "global_step10");
  write(root / "latest", "global_step10\n");
  EXPECT_EQ(find_model_folder(root), root / "global_step10");
}

TEST(RunCheckpoints, ListsItsSteps) {
  const TemporaryFolder folder;
  for (const char* name :
       {"global_step20", "global_step3", "global_stepX", "global_step", "other"}) {
    fs::create_directory(folder.path() / name);
  }
  write(folder.path() / "global_step7", "a file");
  EXPECT_EQ(checkpoint_steps(folder.path()), (std::vector<int64_t>{3, 20}));
  EXPECT_TRUE(checkpoint_steps(folder.path() / "nowhere").empty());
}

TEST(RunCheckpoints, SaysWhyAFolderHoldsNoModel) {
  const TemporaryFolder folder;
  EXPECT_ERROR(find_model_folder(folder.path() / "none"), ErrorKind::kFile, "none is not a folder");
  EXPECT_ERROR(find_model_folder(folder.path()), ErrorKind::kFile,
               "holds no model: neither config.json nor latest");
  // As a run leaves it that could not write `latest`: disks run out of files, too.
  fs::create_directory(folder.path() / "global_step4");
  EXPECT_ERROR(find_model_folder(folder.path()), ErrorKind::kFile,
               "name one of its steps, as " + (folder.path() / "global_step4").string());
  fs::remove(folder.path() / "global_step4");
  for (const char* name : {"global_step5", "", "..", "a/b"}) {
    write(folder.path() / "latest", name);
    EXPECT_ERROR(find_model_folder(folder.path()), ErrorKind::kData,
                 "latest names '" + std::string(name) + "', which is no model folder");
  }
}

}  // namespace
}  // namespace borealis
