// A model in a folder as Hugging Face tools read it: safetensors, config.json,
// generation_config.json and the tokenizer's files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "checkpoint/folder_writer.h"
#include "checkpoint/model_companions.h"
#include "checkpoint/named_tensor.h"
#include "checkpoint/safetensors_file.h"
#include "checkpoint/safetensors_writer.h"
#include "config/hf_config.h"

namespace borealis {

inline constexpr const char* kGenerationConfigFile = "generation_config.json";

struct SaveOptions {
  const ModelCompanions* companions = nullptr;  // to ship with the model; null: none
  int64_t max_shard_bytes = kMaxShardBytes;
  // Passes a tensor's data on; called in the order of the tensors. Null: they lie in the host's
  // memory.
  std::function<void(const NamedTensor&, const ByteSink&)> read = {};
};

// Writes the files of a model. `tensors` are what config.json promises, without lm_head.weight
// where the head is tied. All are of one dtype. Throws Error(kFile).
void write_model(FolderWriter& folder, const ModelConfig& model,
                 std::span<const NamedTensor> tensors, const SaveOptions& options);

// The same as a folder of its own, which is replaced as a whole: on any failure (a full disk, say)
// `folder` keeps what it had (FolderWriter).
void save_model(const std::filesystem::path& folder, const ModelConfig& model,
                std::span<const NamedTensor> tensors, const SaveOptions& options);

// From the folder's config.json.
ModelConfig load_model_config(const std::filesystem::path& folder);
// From its generation_config.json, else config.json.
SpecialTokens load_special_tokens(const std::filesystem::path& folder);

// model.safetensors.index.json's text as shard file to the tensors that it says are in it; `path`
// is for messages. Throws Error(kData) unless every file is one of the folder itself.
std::map<std::string, std::vector<std::string>> parse_weight_index(
    std::string_view text, const std::filesystem::path& path);

// The weights of such a folder, mapped: one file or the shards that its index lists.
class ModelWeights {
 public:
  // Throws Error(kFile) if there are no weights, Error(kData) if a file or the index is corrupt or
  // they contradict each other.
  explicit ModelWeights(const std::filesystem::path& folder);

  const TensorView* find(std::string_view name) const;  // nullptr where absent
  std::vector<std::string> names() const;               // sorted
  // Copies a tensor of this shape into `out`, converting from F32, F16 or BF16. Error(kData) names
  // the tensor that is missing, or is of another shape or of a dtype that is no weight. Of the file
  // no more than a few MiB are resident at a time.
  void read(std::string_view name, std::span<const int64_t> shape, std::span<float> out) const;
  void read(std::string_view name, std::span<const int64_t> shape, std::span<bf16> out) const;
  // The same in parts of f32: take(at, values) with the first element's place in the tensor.
  void read_parts(std::string_view name, std::span<const int64_t> shape,
                  const std::function<void(int64_t at, std::span<const float>)>& take) const;
  // Elements begin, begin + 1, ... of a tensor that is there (CHECKed), in row-major order. Their
  // pages are given up again.
  void read_part(std::string_view name, int64_t begin, std::span<float> out) const;
  std::span<const std::unique_ptr<SafetensorsFile>> files() const { return files_; }

 private:
  struct Place {
    const SafetensorsFile* file = nullptr;
    const TensorView* tensor = nullptr;
  };
  void open_shards(const std::filesystem::path& index_path);
  Place require(std::string_view name, std::span<const int64_t> shape) const;
  template <typename T>
  void read_in_parts(const Place& place, int64_t begin, std::span<T> out) const;

  std::filesystem::path folder_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::unordered_map<std::string, Place> tensors_;
};

}  // namespace borealis
