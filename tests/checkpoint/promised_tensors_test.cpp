#include "checkpoint/promised_tensors.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "checkpoint/small_folders.h"
#include "support/temporary_folder.h"

namespace borealis::testing {
namespace {

TensorMismatch mismatch_of(const NamedValues& stored, const std::vector<PromisedTensor>& expected) {
  const TemporaryFolder folder;
  save_converted(folder.path() / "m", model_of(stored));
  return compare_with_promised(ModelWeights(folder.path() / "m"), expected);
}

TEST(PromisedTensors, NamesAllThatIsWrongAtOnce) {
  NamedValues stored = tiny_values();
  std::vector<PromisedTensor> expected = promised(stored);
  EXPECT_FALSE(mismatch_of(stored, expected).any());
  expected.push_back({"lm_head.weight", {3, 4}});
  expected[0].shape = {5, 4};
  stored["model.layers.7.extra"] = {{1}, {0}};
  const TensorMismatch mismatch = mismatch_of(stored, expected);
  EXPECT_TRUE(mismatch.any());
  EXPECT_EQ(mismatch.text(),
            "missing lm_head.weight; unexpected model.layers.7.extra; "
            "model.embed_tokens.weight is [3, 4] instead of [5, 4]");
}

TEST(PromisedTensors, CutsALongList) {
  std::vector<PromisedTensor> expected = promised(tiny_values());
  for (int i = 0; i < 20; ++i) expected.push_back({fmt::format("t{:02}", i), {1}});
  EXPECT_EQ(mismatch_of(tiny_values(), expected).text(),
            "missing t00, t01, t02, t03, t04, t05, t06, t07 and 12 more");
}

TEST(PromisedTensors, KnowsWhatLoadersDoWithout) {
  NamedValues stored = tiny_values();
  const std::vector<PromisedTensor> expected = promised(stored);
  stored["model.layers.0.self_attn.rotary_emb.inv_freq"] = {{1}, {1}};
  stored["lm_head.weight"] = stored["model.embed_tokens.weight"];
  EXPECT_FALSE(mismatch_of(stored, expected).any());
  stored["lm_head.weight"].elements[11] += 1;
  EXPECT_EQ(mismatch_of(stored, expected).text(), "unexpected lm_head.weight");
}

TEST(PromisedTensors, RefusesTypesThatAreNoWeights) {
  const TemporaryFolder folder;
  const std::vector<TensorSource> sources = {
      {.name = "q", .dtype = StoredDType::kI8, .shape = {4}, .produce = [](const ByteSink& sink) {
         sink(std::as_bytes(std::span("abcd", 4)));
       }}};
  write_safetensors(folder.path() / "model.safetensors", sources);
  const std::vector<PromisedTensor> expected = {{"q", {4}}};
  EXPECT_EQ(compare_with_promised(ModelWeights(folder.path()), expected).text(),
            "q holds I8, not F32, F16 or BF16");
}

}  // namespace
}  // namespace borealis::testing
