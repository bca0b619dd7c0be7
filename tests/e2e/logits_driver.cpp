// logits_driver FOLDER <INPUT >OUTPUT: the logits of a model folder in fp32, for comparisons with a
// peer. INPUT: B and T (u32), then tokens [B, T] (i32). OUTPUT: logits [B, T, V] (f32).
#include <cstdio>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/error.h"
#include "checkpoint/model_folder.h"
#include "support/trainable_model.h"

namespace borealis {
namespace {

// Tokens without targets, of which logits need none.
Batch read_batch(const std::string& input) {
  uint32_t sizes[2] = {};
  CHECK(input.size() >= sizeof sizes);
  input.copy(reinterpret_cast<char*>(sizes), sizeof sizes);
  Batch batch{sizes[0], sizes[1], {}, {}};
  batch.tokens.resize(static_cast<size_t>(sizes[0]) * sizes[1]);
  batch.targets.resize(batch.tokens.size());
  CHECK(input.size() == sizeof sizes + batch.tokens.size() * sizeof(int32_t));
  input.copy(reinterpret_cast<char*>(batch.tokens.data()), input.size() - sizeof sizes,
             sizeof sizes);
  return batch;
}

void run(const std::filesystem::path& folder) {
  const ModelConfig config = load_model_config(folder);
  const Batch batch = read_batch({std::istreambuf_iterator<char>(std::cin), {}});
  testing::TrainableModel model(config, DType::kF32, batch.batch_size, batch.seq_length);
  const ModelWeights weights(folder);
  for (const Parameter& p : model.table.entries()) {
    weights.read(
        p.name, p.shape,
        std::span(model.parameters.weights_as<float>() + p.offset, static_cast<size_t>(p.size())));
  }
  std::vector<float> logits(batch.tokens.size() * static_cast<size_t>(config.vocab_size));
  model.model->logits(batch, logits.data());
  std::cout.write(reinterpret_cast<const char*>(logits.data()),
                  static_cast<std::streamsize>(logits.size() * sizeof(float)));
  std::cout.flush();
}

}  // namespace
}  // namespace borealis

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s FOLDER <INPUT >OUTPUT\n", argv[0]);
    return 1;
  }
  try {
    borealis::run(argv[1]);
  } catch (const borealis::Error& error) {
    std::fprintf(stderr, "logits_driver: %s\n", error.what());
    return 1;
  }
  return 0;
}
