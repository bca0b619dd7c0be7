#include "checkpoint/foreign_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSaveAsSafetensors =
    "convert it with transformers where you trust it: "
    "AutoModelForCausalLM.from_pretrained(DIR).save_pretrained(OUT, safe_serialization=True)";
constexpr const char* kMegatronExporter =
    "convert it with Megatron-DeepSpeed's own exporter to Hugging Face form, then with "
    "transformers' save_pretrained(OUT, safe_serialization=True)";

// The first row that fits decides.
struct ForeignForm {
  std::string_view begin, end;  // of the file's name
  std::string_view what;
  std::string_view remedy;
};

constexpr std::array kForeignForms = {
    ForeignForm{"mp_rank_", ".pt", "a pickled checkpoint of Megatron-DeepSpeed", kMegatronExporter},
    ForeignForm{"zero_pp_rank_", ".pt", "a pickled checkpoint of Megatron-DeepSpeed",
                kMegatronExporter},
    ForeignForm{"bf16_zero_pp_rank_", ".pt", "a pickled checkpoint of Megatron-DeepSpeed",
                kMegatronExporter},
    ForeignForm{"layer_", "-model_states.pt", "a pickled checkpoint of Megatron-DeepSpeed",
                kMegatronExporter},
    ForeignForm{"", ".distcp", "a checkpoint of torch.distributed.checkpoint",
                "convert it with the program that wrote it to Hugging Face form with safetensors"},
    ForeignForm{"adapter_model", "", "a LoRA adapter without its model",
                "merge it with peft: merge_and_unload(), then save_pretrained(OUT)"},
    ForeignForm{"", ".gguf", "a GGUF file",
                "take the model's safetensors, which its GGUF files were made from"},
    ForeignForm{"tf_model", ".h5", "weights of TensorFlow", kSaveAsSafetensors},
    ForeignForm{"flax_model", ".msgpack", "weights of Flax", kSaveAsSafetensors},
    ForeignForm{"pytorch_model", ".bin", "a pickle", kSaveAsSafetensors},
    ForeignForm{"", ".pt", "a pickle", kSaveAsSafetensors},
    ForeignForm{"", ".pth", "a pickle", kSaveAsSafetensors},
    ForeignForm{"", ".ckpt", "a pickle", kSaveAsSafetensors},
};

void refuse_name(const fs::path& file) {
  const std::string name = file.filename().string();
  for (const ForeignForm& form : kForeignForms) {
    if (!name.starts_with(form.begin) || !name.ends_with(form.end)) continue;
    throw Error(ErrorKind::kData,
                fmt::format("{} is {}, which is not opened", file.string(), form.what),
                std::string(form.remedy));
  }
}

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (entry.is_regular_file(ignored)) files.push_back(entry.path());
  }
  std::ranges::sort(files);  // the same message every time
  return files;
}

}  // namespace

void refuse_foreign_weights(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_regular_file(path, ignored)) return refuse_name(path);
  for (const fs::path& file : files_in(path)) refuse_name(file);
  const fs::path latest = path / "latest";
  if (!fs::is_regular_file(latest, ignored)) return;
  std::string name = read_text_file(latest);
  name.erase(name.find_last_not_of(" \t\r\n") + 1);
  if (name.empty() || name.find('/') != std::string::npos || name.starts_with('.')) return;
  for (const fs::path& file : files_in(path / name)) refuse_name(file);
}

}  // namespace borealis
