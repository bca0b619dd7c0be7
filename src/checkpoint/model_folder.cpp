#include "checkpoint/model_folder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json_excerpt.h"
#include "checkpoint/foreign_weights.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWeightsFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";

[[noreturn]] void reject_model(const fs::path& path, const std::string& problem) {
  throw Error(ErrorKind::kData, fmt::format("{} {}", path.string(), problem),
              "copy or export the model again");
}

}  // namespace

std::map<std::string, std::vector<std::string>> parse_weight_index(std::string_view text,
                                                                   const fs::path& path) {
  const auto index = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    reject_model(path, "is not a JSON object with a weight_map");
  }
  std::map<std::string, std::vector<std::string>> shards;
  for (const auto& [tensor, file] : index["weight_map"].items()) {
    if (!file.is_string()) reject_model(path, fmt::format("names no file for tensor {}", tensor));
    const std::string name = file.get<std::string>();
    // Weights come from this folder, wherever the index came from.
    const bool one_part =
        name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
    if (name.empty() || name == ".." || !one_part) {
      reject_model(path,
                   fmt::format("has '{}' for tensor {}, not a file of its folder", name, tensor));
    }
    shards[name].push_back(tensor);
  }
  if (shards.empty()) reject_model(path, "lists no tensors");
  return shards;
}

void write_model(FolderWriter& folder, const ModelConfig& model,
                 std::span<const NamedTensor> tensors, const SaveOptions& options) {
  CHECK(!tensors.empty());
  const DType dtype = tensors.front().dtype;
  std::vector<TensorSource> sources;
  for (const NamedTensor& tensor : tensors) {
    CHECK(tensor.dtype == dtype, tensor.name);
    sources.push_back(source_of(tensor));
    if (!options.read) continue;
    sources.back().produce = [&options, &tensor](const ByteSink& sink) {
      options.read(tensor, sink);
    };
  }
  const ModelCompanions none;
  const ModelCompanions& companions = options.companions ? *options.companions : none;
  write_sharded_safetensors(
      sources, options.max_shard_bytes,
      {.write_tensors =
           [&](const std::string& name, std::span<const TensorSource> shard) {
             folder.write_tensors(name, shard);
           },
       .write_text = [&](const std::string& name,
                         const std::string& text) { folder.write_text(name, text); }});
  folder.write_text("config.json", hf_config_text(model, companions.special_tokens(), dtype));
  companions.write(folder);
}

void save_model(const fs::path& folder, const ModelConfig& model,
                std::span<const NamedTensor> tensors, const SaveOptions& options) {
  DirectBlocks blocks;
  FolderWriter writer(folder, blocks);
  write_model(writer, model, tensors, options);
  writer.commit(FolderWriter::Checksums::kNone);
}

ModelConfig load_model_config(const fs::path& folder) {
  const fs::path path = folder / "config.json";
  return parse_hf_config(read_json_text(path), path);
}

SpecialTokens load_special_tokens(const fs::path& folder) {
  fs::path path = folder / kGenerationConfigFile;
  if (!fs::exists(path)) path = folder / "config.json";
  return parse_hf_special_tokens(read_json_text(path), path);
}

ModelWeights::ModelWeights(const fs::path& folder) : folder_(folder) {
  if (fs::exists(folder / kWeightsFile)) {
    files_.push_back(std::make_unique<SafetensorsFile>(folder / kWeightsFile));
    for (const TensorView& tensor : files_.back()->tensors()) {
      tensors_[tensor.name] = {files_.back().get(), &tensor};
    }
  } else if (fs::exists(folder / kIndexFile)) {
    open_shards(folder / kIndexFile);
  } else {
    refuse_foreign_weights(folder);
    throw Error(ErrorKind::kFile,
                fmt::format("{} has neither {} nor {}", folder.string(), kWeightsFile, kIndexFile),
                "give the folder of a model in safetensors form");
  }
}

void ModelWeights::open_shards(const fs::path& index_path) {
  for (const auto& [file, names] : parse_weight_index(read_json_text(index_path), index_path)) {
    if (!fs::exists(folder_ / file)) {
      reject_model(index_path, fmt::format("lists {}, which is not there", file));
    }
    files_.push_back(std::make_unique<SafetensorsFile>(folder_ / file));
    const SafetensorsFile* shard = files_.back().get();
    for (const std::string& name : names) tensors_[name] = {shard, &shard->at(name)};
  }
}

const TensorView* ModelWeights::find(std::string_view name) const {
  const auto found = tensors_.find(std::string(name));
  return found == tensors_.end() ? nullptr : found->second.tensor;
}

std::vector<std::string> ModelWeights::names() const {
  std::vector<std::string> names;
  for (const auto& [name, place] : tensors_) names.push_back(name);
  std::ranges::sort(names);
  return names;
}

ModelWeights::Place ModelWeights::require(std::string_view name,
                                          std::span<const int64_t> shape) const {
  const auto found = tensors_.find(std::string(name));
  if (found == tensors_.end()) reject_model(folder_, fmt::format("has no tensor {}", name));
  const TensorView& tensor = *found->second.tensor;
  if (!std::ranges::equal(tensor.shape, shape)) {
    reject_model(folder_, fmt::format("has tensor {} of shape [{}] where config.json asks for [{}]",
                                      name, fmt::join(tensor.shape, ", "), fmt::join(shape, ", ")));
  }
  return found->second;
}

// The pages of a part are given up once it is copied, or a model would be in memory twice.
template <typename T>
void ModelWeights::read_in_parts(const Place& place, int64_t begin, std::span<T> out) const {
  constexpr size_t kPartElements = size_t{1} << 20;
  const size_t width = stored_dtype_bytes(place.tensor->dtype);
  CHECK(begin >= 0 && begin + static_cast<int64_t>(out.size()) <= place.tensor->element_count(),
        place.tensor->name);
  const std::span<const std::byte> bytes =
      place.tensor->bytes.subspan(static_cast<size_t>(begin) * width, out.size() * width);
  for (size_t first = 0; first < out.size(); first += kPartElements) {
    const size_t count = std::min(kPartElements, out.size() - first);
    TensorView part{place.tensor->name, place.tensor->dtype, {static_cast<int64_t>(count)}, {}};
    part.bytes = bytes.subspan(first * width, count * width);
    copy_tensor(part, out.subspan(first, count));
    place.file->forget(part.bytes);
  }
}

void ModelWeights::read(std::string_view name, std::span<const int64_t> shape,
                        std::span<float> out) const {
  const Place place = require(name, shape);
  CHECK(static_cast<int64_t>(out.size()) == place.tensor->element_count(), place.tensor->name);
  read_in_parts(place, 0, out);
}

void ModelWeights::read(std::string_view name, std::span<const int64_t> shape,
                        std::span<bf16> out) const {
  const Place place = require(name, shape);
  CHECK(static_cast<int64_t>(out.size()) == place.tensor->element_count(), place.tensor->name);
  read_in_parts(place, 0, out);
}

void ModelWeights::read_part(std::string_view name, int64_t begin, std::span<float> out) const {
  const auto found = tensors_.find(std::string(name));
  CHECK(found != tensors_.end(), name);
  read_in_parts(found->second, begin, out);
}

void ModelWeights::read_parts(
    std::string_view name, std::span<const int64_t> shape,
    const std::function<void(int64_t at, std::span<const float>)>& take) const {
  constexpr int64_t kPartElements = int64_t{1} << 20;
  const Place place = require(name, shape);
  const int64_t size = place.tensor->element_count();
  std::vector<float> values;
  for (int64_t first = 0; first < size; first += kPartElements) {
    values.resize(static_cast<size_t>(std::min(kPartElements, size - first)));
    read_in_parts(place, first, std::span(values));
    take(first, values);
  }
}

}  // namespace borealis
