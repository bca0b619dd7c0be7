// Any text as a model's config.json. A model that is read can be computed: its sizes fit together,
// and what we write of it reads as the same model.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/error.h"
#include "config/hf_config.h"

namespace borealis {
namespace {

constexpr int64_t kFewLayers = 1000;  // the written list of layers stays short

void read(std::string_view text) {
  try {
    const ModelConfig model = parse_hf_config(text, "model/config.json");
    CHECK(model.num_attention_heads % model.num_key_value_heads == 0 && model.head_dim % 2 == 0);
    CHECK(static_cast<int64_t>(model.rope_on_layer.size()) == model.num_hidden_layers);
    if (model.num_hidden_layers > kFewLayers) return;
    const std::string written = hf_config_text(model, {}, DType::kBF16);
    CHECK(hf_config_text(parse_hf_config(written, "other/config.json"), {}, DType::kBF16) ==
          written);
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace borealis

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  borealis::read({reinterpret_cast<const char*>(data), size});
  return 0;
}
