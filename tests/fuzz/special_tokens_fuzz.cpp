// Any text as a model's generation_config.json: token ids, which come back from what we write of
// them, or an Error.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/error.h"
#include "config/hf_config.h"

namespace borealis {
namespace {

void read(std::string_view text) {
  try {
    const SpecialTokens tokens = parse_hf_special_tokens(text, "model/generation_config.json");
    CHECK(tokens.bos.value_or(0) >= 0 && tokens.pad.value_or(0) >= 0);
    CHECK(std::ranges::all_of(tokens.eos, [](int64_t id) { return id >= 0; }));
    const SpecialTokens again =
        parse_hf_special_tokens(hf_generation_config_text(tokens), "model/generation_config.json");
    CHECK(again.bos == tokens.bos && again.eos == tokens.eos && again.pad == tokens.pad);
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace borealis

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  borealis::read({reinterpret_cast<const char*>(data), size});
  return 0;
}
