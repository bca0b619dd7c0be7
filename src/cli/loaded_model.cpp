#include "cli/loaded_model.h"

#include <span>
#include <vector>

#include "checkpoint/folder_check.h"
#include "checkpoint/model_folder.h"
#include "checkpoint/promised_tensors.h"
#include "cli/stored_model.h"
#include "model/parameter_layout.h"

namespace borealis {
namespace {

int64_t weights_bytes(const ParameterTable& table, DType dtype) {
  return table.buffer_elements() * static_cast<int64_t>(dtype_bytes(dtype));
}

template <typename T>
void read_weights(const ModelWeights& weights, const ParameterBuffers& parameters, Device& device) {
  for (const Parameter& p : parameters.table->entries()) {
    if (!device.is_host()) {
      std::vector<T> values(static_cast<size_t>(p.size()));
      weights.read(p.name, p.shape, std::span(values));
      device.upload(parameters.weights_as<T>() + p.offset, values.data(),
                    values.size() * sizeof(T));
      continue;
    }
    weights.read(p.name, p.shape,
                 std::span(parameters.weights_as<T>() + p.offset, static_cast<size_t>(p.size())));
  }
}

// Before anything is allocated: it takes buffers of its own.
const std::filesystem::path& verified(const std::filesystem::path& folder) {
  require_sound_weights(folder);
  return folder;
}

}  // namespace

LoadedModel::LoadedModel(const std::filesystem::path& folder, DType dtype, Device& device)
    : config(load_model_config(verified(folder))),
      table(make_parameter_table(config)),
      arena(weights_bytes(table, dtype), "weights", device),
      parameters{&table, dtype, arena.take<std::byte>(weights_bytes(table, dtype)), nullptr} {
  const ModelWeights weights(folder);
  require_promised(weights, promised_tensors(config), folder, config.tie_word_embeddings);
  if (dtype == DType::kF32) {
    read_weights<float>(weights, parameters, device);
  } else {
    read_weights<bf16>(weights, parameters, device);
  }
}

}  // namespace borealis
