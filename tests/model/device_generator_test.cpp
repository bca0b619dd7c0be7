// Texts that a device goes on with (support/fake_gpu.h) are those of the host.
#include <gtest/gtest.h>

#include <cstring>

#include "model/decoder.h"
#include "model/generator.h"
#include "model/parameter_layout.h"
#include "support/fake_gpu.h"
#include "support/small_models.h"

namespace borealis {
namespace {

using Texts = std::vector<std::vector<int32_t>>;

class DeviceGeneratorTest : public ::testing::TestWithParam<DType> {
 protected:
  // With longer prompts than pass through the layers at a time, and more than grow together.
  Texts generate(Backend& backend) {
    const DType dtype = GetParam();
    ModelConfig model = testing::small_llama(2);
    model.max_position_embeddings = 512;
    const ParameterTable table = make_parameter_table(model);
    const int64_t bytes = table.buffer_elements() * static_cast<int64_t>(dtype_bytes(dtype));
    Arena arena(bytes, "weights", backend.device());
    ParameterBuffers parameters{&table, dtype, arena.take<std::byte>(bytes), nullptr};
    initialize_parameters(parameters, {}, 7, backend.device());
    std::vector<Prompt> prompts;
    for (const int length : {5, 300, 17, 1}) {
      Prompt& prompt = prompts.emplace_back();
      for (int i = 0; i < length; ++i) prompt.push_back((i * 31 + length) % 128);
    }
    GenerationShape shape = generation_shape(model, prompts, 12, /*batch_size=*/3, dtype, 2);
    shape.prompt_rows = kAttentionPieceRows;
    if (backend.gpu() != nullptr) shape.gpu = *backend.gpu();
    Generator generator(shape, parameters, {}, backend);
    Texts texts(prompts.size());
    GenerationOptions options;
    options.max_new_tokens = 12;
    options.sampling.seed = 3;
    GenerationEvents events;
    events.on_token = [&](size_t prompt, int32_t token) {
      texts[prompt].push_back(token);
      return true;
    };
    events.on_finish = [](size_t, const FinishedText&) {};
    generator.generate(prompts, options, events);
    return texts;
  }
};

TEST_P(DeviceGeneratorTest, SaysWhatTheHostSays) {
  testing::FakeGpuBackend gpu;
  const Texts texts = generate(gpu);
  for (const auto& text : texts) EXPECT_EQ(text.size(), 12u);
  EXPECT_EQ(texts, generate(cpu_backend()));
}

TEST_P(DeviceGeneratorTest, LossesAndLogitsAreTheHosts) {
  const DType dtype = GetParam();
  const ModelConfig model = testing::small_llama(2);
  const ParameterTable table = make_parameter_table(model);
  const int64_t bytes = table.buffer_elements() * static_cast<int64_t>(dtype_bytes(dtype));
  Batch batch{2, 24, {}, {}};
  for (int i = 0; i < 48; ++i) {
    batch.tokens.push_back(i * 7 % 128);
    batch.targets.push_back(i * 5 % 128);
    batch.positions.push_back(i % 24 % 10);
    batch.document_starts.push_back(i % 24 / 10 * 10);
  }
  const auto look = [&](Backend& backend) {
    Arena arena(bytes, "weights", backend.device());
    ParameterBuffers parameters{&table, dtype, arena.take<std::byte>(bytes), nullptr};
    initialize_parameters(parameters, {}, 7, backend.device());
    DecoderShape shape{model, 2, 24, {}, product_mode(dtype), 2, /*forward_only=*/true};
    shape.documents = true;
    if (backend.gpu() != nullptr) shape.gpu = *backend.gpu();
    const auto decoder = make_language_model(shape, parameters, nullptr, nullptr, backend);
    std::vector<float> result(static_cast<size_t>(48 * model.vocab_size));
    decoder->logits(batch, result.data());
    result.push_back(static_cast<float>(decoder->forward(batch)));
    return result;
  };
  testing::FakeGpuBackend gpu;
  EXPECT_EQ(look(gpu), look(cpu_backend()));
}

TEST(DocumentLengths, AreThoseBetweenStarts) {
  Batch batch{2, 6, {}, {}};
  EXPECT_TRUE(document_lengths(batch).empty());
  batch.document_starts = {0, 0, 2, 2, 2, 5, 0, 0, 0, 0, 0, 0};
  EXPECT_EQ(document_lengths(batch), (std::vector<int32_t>{2, 3, 1, 6}));
}

INSTANTIATE_TEST_SUITE_P(Types, DeviceGeneratorTest, ::testing::Values(DType::kF32, DType::kBF16));

}  // namespace
}  // namespace borealis
