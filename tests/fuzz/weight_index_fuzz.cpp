// Any text as a model.safetensors.index.json: files of the folder itself and the tensors in them,
// each once, or an Error.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/error.h"
#include "checkpoint/model_folder.h"

namespace borealis {
namespace {

void read(std::string_view text) {
  try {
    std::set<std::string> seen;
    for (const auto& [file, tensors] : parse_weight_index(text, "index.json")) {
      CHECK(std::filesystem::path("folder/" + file).parent_path() == "folder" && file != "..");
      CHECK(file.find('\0') == std::string::npos, "no such file can be opened");
      CHECK(!tensors.empty());
      for (const std::string& tensor : tensors) CHECK(seen.insert(tensor).second);
    }
    CHECK(!seen.empty());
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace borealis

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  borealis::read({reinterpret_cast<const char*>(data), size});
  return 0;
}
