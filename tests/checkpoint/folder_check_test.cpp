#include "checkpoint/folder_check.h"

#include <gmock/gmock.h>

#include <cmath>

#include "base/file.h"
#include "checkpoint/small_folders.h"
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
  EXPECT_EQ(found.warnings[0].text, "tensor model.norm.weight holds 1 NaN and 1 infinities");
}

}  // namespace
}  // namespace borealis::testing
