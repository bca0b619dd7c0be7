// A Hugging Face config.json as an architecture to train: what MODEL_ARCH=<folder> means.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "config/presets.h"

namespace borealis {

// SEQ where it is unset: the model's max_position_embeddings, but no more than this, which is what
// the released models of the table have.
inline constexpr int64_t kLongestSeqOfHfConfig = 8192;

struct HfConfigLookup {
  std::optional<std::filesystem::path> file;  // absolute
  bool looks_like_a_path = false;             // if there is none: was it meant as one?
  std::vector<std::string> tried;
};

// `model_arch` is a folder with a config.json, or that file. A relative one is tried from the
// working directory, then from `home` (may be empty).
HfConfigLookup find_hf_config(const std::string& model_arch, const std::string& home);

// Named after its folder. Its tokenizer is that of the folder. Throws Error(kFile), and
// Error(kData) as parse_hf_config().
ModelPreset preset_of_hf_config(const std::filesystem::path& file);

}  // namespace borealis
