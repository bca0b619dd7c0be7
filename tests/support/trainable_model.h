// A decoder with its parameters and gradients, ready to be run in a test. Of a test that may run on
// a GPU (`backend`) the vectors are the host's copies, which upload_weights() and
// download_gradients() keep the same.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "config/run_config.h"
#include "model/accounting.h"
#include "model/decoder.h"
#include "model/parameter_layout.h"
#include "optim/adamw.h"

namespace borealis::testing {

struct TrainableModel {
  DecoderShape shape;
  ParameterTable table;
  std::vector<std::byte> weights;
  std::vector<float> gradients;
  Device* device;
  DeviceBuffer weights_on_device, gradients_on_device;
  ParameterBuffers parameters;
  std::unique_ptr<LanguageModel> model;

  TrainableModel(const ModelConfig& config, DType dtype, int64_t B, int64_t T,
                 RecomputeConfig recompute = {}, int threads = 2, Backend& backend = cpu_backend(),
                 bool documents = false)
      : shape{config, B, T, recompute, product_mode(dtype), threads},
        table(make_parameter_table(config)),
        weights(static_cast<size_t>(table.buffer_elements()) * dtype_bytes(dtype)),
        gradients(static_cast<size_t>(table.buffer_elements())),
        device(&backend.device()),
        parameters{&table, dtype, weights.data(), gradients.data()} {
    if (backend.gpu() != nullptr) {
      shape.gpu = *backend.gpu();
      shape.documents = documents;
      weights_on_device = DeviceBuffer(*device, weights.size(), "weights");
      gradients_on_device = DeviceBuffer(*device, 4 * gradients.size(), "gradients");
      parameters.weights = weights_on_device.bytes().data();
      parameters.gradients = reinterpret_cast<float*>(gradients_on_device.bytes().data());
    }
    model = make_language_model(shape, parameters, /*profiler=*/nullptr, /*flow=*/nullptr, backend);
  }

  void upload_weights() {
    if (!device->is_host()) device->upload(parameters.weights, weights.data(), weights.size());
  }
  void download_gradients() {
    if (!device->is_host()) {
      device->download(gradients.data(), parameters.gradients, 4 * gradients.size());
    }
  }

  // A pass that does not accumulate must not read what it replaces.
  void poison_gradients() {
    for (const Parameter& parameter : table.entries()) {
      std::fill_n(gradients.begin() + parameter.offset, parameter.size(), std::nanf(""));
    }
    if (!device->is_host()) {
      device->upload(parameters.gradients, gradients.data(), 4 * gradients.size());
    }
  }
};

inline Batch make_batch(const int32_t* tokens, int64_t B, int64_t T) {
  Batch batch{B, T, {}, {}};
  for (int64_t b = 0; b < B; ++b) {
    const int32_t* row = tokens + b * (T + 1);
    batch.tokens.insert(batch.tokens.end(), row, row + T);
    batch.targets.insert(batch.targets.end(), row + 1, row + T + 1);
  }
  return batch;
}

}  // namespace borealis::testing
