#include "checkpoint/folder_check.h"

#include <gmock/gmock.h>

#include <cmath>

#include "base/file.h"
#include "checkpoint/checksums.h"
#include "checkpoint/small_folders.h"
#include "checkpoint/small_states.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace borealis::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class FolderChecks : public ::testing::Test {
 protected:
  // Saved in two shards, an embedding and a norm.
  void save(const NamedValues& values) {
    ConvertedModel model = model_of(values);
    model.max_shard_bytes = 20;
    save_converted(model_folder(), model);
  }
  fs::path model_folder() const { return folder_.path() / "m"; }
  FolderCheck check() const {
    return check_model_folder(model_folder(),
                              [](const ModelConfig&) { return promised(tiny_values()); });
  }

  TemporaryFolder folder_;
};

TEST_F(FolderChecks, ASoundFolderHasNoFindings) {
  save(tiny_values());
  const FolderCheck found = check();
  EXPECT_TRUE(found.sound());
  EXPECT_TRUE(found.warnings.empty());
}

TEST_F(FolderChecks, EveryDamagedFileIsNamed) {
  save(tiny_values());
  std::vector<std::string> shards;
  for (const auto& entry : fs::directory_iterator(model_folder())) {
    if (entry.path().extension() == ".safetensors") shards.push_back(entry.path().string());
  }
  ASSERT_EQ(shards.size(), 2u);
  for (const std::string& shard : shards) fs::resize_file(shard, fs::file_size(shard) - 1);
  write_file(model_folder() / "generation_config.json", "{");
  const FolderCheck found = check();
  ASSERT_EQ(found.problems.size(), 3u);
  EXPECT_EQ(found.problems[0].file, model_folder() / "generation_config.json");
  EXPECT_THAT(found.problems[1].file.string(), HasSubstr("model-00001-of-00002.safetensors"));
  EXPECT_THAT(found.problems[1].text, HasSubstr("is cut short"));
  EXPECT_THAT(found.problems[2].file.string(), HasSubstr("model-00002-of-00002.safetensors"));
}

TEST_F(FolderChecks, ABrokenConfigurationDoesNotHideABrokenShard) {
  save(tiny_values());
  write_file(model_folder() / "config.json", R"({"model_type": "mistral"})");
  write_file(model_folder() / "model-00002-of-00002.safetensors", "");
  const FolderCheck found = check();
  ASSERT_EQ(found.problems.size(), 2u);
  EXPECT_THAT(found.problems[0].text, HasSubstr("a model of type 'mistral'"));
  EXPECT_THAT(found.problems[1].text, HasSubstr("too short for a safetensors file"));
}

TEST_F(FolderChecks, MissingShardsAndTensorsAreProblems) {
  save(tiny_values());
  fs::remove(model_folder() / "model-00001-of-00002.safetensors");
  EXPECT_THAT(check().problems.at(0).text,
              HasSubstr("lists model-00001-of-00002.safetensors, which is not there"));
  fs::remove_all(model_folder());
  NamedValues values = tiny_values();
  values.erase("model.norm.weight");
  save(values);
  EXPECT_THAT(check().problems.at(0).text, HasSubstr("missing model.norm.weight"));
}

TEST_F(FolderChecks, ValuesThatAreNotFiniteAreAWarning) {
  NamedValues values = tiny_values();
  values["model.norm.weight"].elements[1] = NAN;
  values["model.norm.weight"].elements[2] = INFINITY;
  save(values);
  const FolderCheck found = check();
  EXPECT_TRUE(found.sound());
  ASSERT_EQ(found.warnings.size(), 1u);
  EXPECT_EQ(found.warnings[0].text, "model.norm.weight holds 1 NaN and 1 infinities");
}

std::string text_of(const FolderCheck& check) {
  std::string text;
  for (const FolderFinding& problem : check.problems) {
    text += problem.file.string() + ": " + problem.text + "\n";
  }
  return text;
}

// The same folder with checksums and a state.
class CheckpointChecks : public FolderChecks {
 protected:
  void save(std::vector<StatePiece> pieces) {
    save_converted(model_folder(), model_of(tiny_values()));
    write_state(model_folder(), {std::move(pieces)});
    DirectBlocks blocks;
    FileChecksums checksums;
    for (const auto& entry : fs::recursive_directory_iterator(model_folder())) {
      if (!entry.is_regular_file()) continue;
      checksums[entry.path().lexically_relative(model_folder()).string()] =
          read_direct(entry.path(), blocks, [](std::span<const std::byte>) {});
    }
    write_file(model_folder() / kChecksumsFile, checksums_text(checksums));
  }
  static std::vector<StatePiece> whole_state() {
    std::vector<StatePiece> pieces;
    for (const auto& [name, values] : tiny_values()) {
      for (const char* kind : {"fp32", "exp_avg", "exp_avg_sq"}) {
        pieces.push_back({kind, name, 0, values.elements});
      }
    }
    return pieces;
  }
};

TEST_F(CheckpointChecks, AWholeCheckpointIsSound) {
  save(whole_state());
  EXPECT_EQ(text_of(check()), "");
  EXPECT_TRUE(check().warnings.empty());
  require_checksums(model_folder(), [](const std::string&) { return true; });
}

TEST_F(CheckpointChecks, AChangedByteIsFoundByItsChecksum) {
  save(whole_state());
  const fs::path weights = model_folder() / "model.safetensors";
  std::string bytes = read_text_file(weights);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_file(weights, bytes);
  EXPECT_THAT(text_of(check()), HasSubstr("model.safetensors is damaged: its content does not have "
                                          "the checksum in checksums.xxh128"));
  EXPECT_ERROR(
      require_checksums(model_folder(),
                        [](const std::string& name) { return name == "model.safetensors"; }),
      ErrorKind::kData, "model.safetensors is damaged");
  require_checksums(model_folder(), [](const std::string& name) { return name == "config.json"; });
}

TEST_F(CheckpointChecks, EveryDamagedPartOfTheStateIsNamed) {
  save(whole_state());
  const fs::path shard = model_folder() / "state/shard-00000-of-00001.safetensors";
  fs::resize_file(shard, fs::file_size(shard) - 4);
  write_file(model_folder() / "README.md", "mine");  // not of this checkpoint
  write_file(model_folder() / "tokenizer_config.json", "{}");
  const FolderCheck found = check();
  EXPECT_THAT(text_of(found), HasSubstr("state/shard-00000-of-00001.safetensors is cut short"));
  EXPECT_THAT(text_of(found), HasSubstr("shard-00000-of-00001.safetensors is damaged"));
  EXPECT_THAT(text_of(found), HasSubstr("checksums.xxh128 has no checksum of it"));
  ASSERT_EQ(found.warnings.size(), 1u);
  EXPECT_EQ(found.warnings[0].file, model_folder() / "README.md");
  EXPECT_ERROR(
      require_checksums(model_folder(),
                        [](const std::string& name) { return name == "tokenizer_config.json"; }),
      ErrorKind::kData, "has no checksum of tokenizer_config.json");
  fs::remove(shard);
  EXPECT_THAT(text_of(check()), HasSubstr("shard-00000-of-00001.safetensors"));
}

TEST_F(CheckpointChecks, APieceThatIsMissingIsAProblem) {
  std::vector<StatePiece> pieces = whole_state();
  pieces[1].values.pop_back();
  pieces.erase(pieces.begin() + 5);
  save(pieces);
  const std::string text = text_of(check());
  EXPECT_THAT(text, HasSubstr("the pieces of exp_avg of model.embed_tokens.weight do not cover"));
  EXPECT_THAT(text, HasSubstr("has no exp_avg_sq of model.norm.weight"));
}

TEST_F(CheckpointChecks, MomentsThatAreNotFiniteAreAWarning) {
  std::vector<StatePiece> pieces = whole_state();
  pieces[2].values[0] = NAN;
  save(pieces);
  const FolderCheck found = check();
  EXPECT_TRUE(found.sound());
  ASSERT_EQ(found.warnings.size(), 1u);
  EXPECT_EQ(found.warnings[0].text,
            "exp_avg_sq of model.embed_tokens.weight holds 1 NaN and 0 infinities");
}

}  // namespace
}  // namespace borealis::testing
