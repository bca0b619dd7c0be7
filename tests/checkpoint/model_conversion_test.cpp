#include "checkpoint/model_conversion.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/random.h"
#include "checkpoint/small_folders.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace borealis::testing {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kEmbedding = "model.embed_tokens.weight";

// What the source produces, as f32.
std::vector<float> produced(const Values& values, int64_t rows, StoredDType dtype) {
  const TemporaryFolder folder;
  const std::vector<TensorSource> sources = {converted(elements_in("t", values), rows, dtype)};
  write_safetensors(folder.path() / "x.safetensors", sources);
  const SafetensorsFile file(folder.path() / "x.safetensors");
  EXPECT_EQ(file.at("t").dtype, dtype);
  std::vector<float> result(static_cast<size_t>(file.at("t").element_count()));
  copy_tensor(file.at("t"), std::span(result));
  return result;
}

TEST(ModelConversion, RoundsToNearestEven) {
  // In bf16 the numbers from 256 on are two apart, in fp16 those from 2048 on.
  const Values values{{6}, {257, 259, 2049, 2051, 1.0f / 3, -0.0f}};
  EXPECT_EQ(produced(values, 6, StoredDType::kF32), values.elements);
  EXPECT_EQ(produced(values, 6, StoredDType::kBF16),
            (std::vector<float>{256, 260, 2048, 2048, 0.333984375f, -0.0f}));
  EXPECT_EQ(produced(values, 6, StoredDType::kF16),
            (std::vector<float>{257, 259, 2048, 2052, 0.333251953125f, -0.0f}));
}

TEST(ModelConversion, NamesTheTensorThatFp16DoesNotHold) {
  for (const float value : {65520.0f, -1e10f, INFINITY}) {
    const Values values{{2}, {65519, value}};
    EXPECT_ERROR(produced(values, 2, StoredDType::kF16), ErrorKind::kData, "tensor t holds ",
                 "beyond fp16's range of 65504; export it with --dtype bf16 or fp32");
  }
  EXPECT_EQ(produced({{1}, {65519}}, 1, StoredDType::kF16).front(), 65504);
}

TEST(ModelConversion, CutsRowsAndAddsTheMeanRow) {
  const Values values{{3, 2}, {1, 10, 2, 20, 6, 30}};
  EXPECT_EQ(produced(values, 2, StoredDType::kF32), (std::vector<float>{1, 10, 2, 20}));
  EXPECT_EQ(produced(values, 5, StoredDType::kF32),
            (std::vector<float>{1, 10, 2, 20, 6, 30, 3, 20, 3, 20}));
}

TEST(ModelConversion, GoesPartByPart) {
  const int64_t rows = 1000, columns = 2203;  // three parts, none of whole rows
  Values values{{rows, columns}, {}};
  const RandomStream stream(3, 0);
  std::vector<double> sums(columns, 0);
  for (int64_t i = 0; i < rows * columns; ++i) {
    values.elements.push_back(static_cast<float>(stream.normal(static_cast<uint64_t>(i))));
    sums[static_cast<size_t>(i % columns)] += values.elements.back();
  }
  ASSERT_GT(rows * columns, 2 * kElementsAtATime);
  const std::vector<float> result = produced(values, rows + 1, StoredDType::kF32);
  EXPECT_TRUE(std::equal(values.elements.begin(), values.elements.end(), result.begin()));
  for (size_t column = 0; column < static_cast<size_t>(columns); ++column) {
    EXPECT_FLOAT_EQ(result[static_cast<size_t>(rows * columns) + column],
                    static_cast<float>(sums[column] / rows));
  }
}

TEST(ModelConversion, WritesAFolderThatReadsBack) {
  const TemporaryFolder folder;
  const NamedValues values = tiny_values();
  ConvertedModel model = model_of(values, StoredDType::kF16);
  model.special_tokens = {.bos = 1, .eos = {2}, .pad = std::nullopt};
  model.max_shard_bytes = 20;
  save_converted(folder.path() / "m", model);
  const Json config = Json::parse(read_text_file(folder.path() / "m/config.json"));
  EXPECT_EQ(config["torch_dtype"], "float16");
  EXPECT_EQ(config["eos_token_id"], 2);
  EXPECT_EQ(load_special_tokens(folder.path() / "m").bos, 1);
  const ModelWeights weights(folder.path() / "m");
  EXPECT_EQ(weights.files().size(), 2u);
  for (const auto& [name, tensor] : values) EXPECT_EQ(read_all(weights, name), tensor.elements);
}

TEST(ModelConversion, KeepsWhatLiesBesideTheWeights) {
  const TemporaryFolder folder;
  const fs::path from = folder.path() / "from";
  fs::create_directory(from);
  for (const char* name : {"tokenizer.json", "special_tokens_map.json", "chat_template.jinja",
                           "generation_config.json", "README.md", "pytorch_model.bin"}) {
    write_file(from / name, std::string("text of ") + name);
  }
  ConvertedModel model = model_of(tiny_values());
  model.companions = from;
  save_converted(folder.path() / "m", model);
  for (const char* name : {"tokenizer.json", "special_tokens_map.json", "chat_template.jinja",
                           "generation_config.json"}) {
    EXPECT_EQ(read_text_file(folder.path() / "m" / name), std::string("text of ") + name);
  }
  EXPECT_FALSE(fs::exists(folder.path() / "m/README.md"));
  EXPECT_FALSE(fs::exists(folder.path() / "m/pytorch_model.bin"));
}

TEST(ModelConversion, AFailureLeavesNothingBehind) {
  const TemporaryFolder folder;
  NamedValues values = tiny_values();
  values["model.norm.weight"].elements[2] = 1e6f;
  EXPECT_ERROR(save_converted(folder.path() / "m", model_of(values, StoredDType::kF16)),
               ErrorKind::kData, "tensor model.norm.weight holds 1000000, beyond fp16's range");
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

}  // namespace
}  // namespace borealis::testing
