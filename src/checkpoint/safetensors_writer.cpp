#include "checkpoint/safetensors_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/check.h"
#include "base/file.h"
#include "base/json_excerpt.h"
#include "base/rounding.h"

namespace borealis {
namespace {

std::vector<const TensorSource*> aligned_order(std::span<const TensorSource> tensors) {
  std::vector<const TensorSource*> order;
  for (const TensorSource& tensor : tensors) order.push_back(&tensor);
  std::ranges::stable_sort(order, std::greater<>{}, [](const TensorSource* tensor) {
    return stored_dtype_bytes(tensor->dtype);
  });
  return order;
}

std::string header_text(std::span<const TensorSource* const> order,
                        const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header;
  header["__metadata__"] = metadata;
  int64_t offset = 0;
  for (const TensorSource* tensor : order) {
    CHECK(!header.contains(tensor->name), tensor->name);
    const int64_t end = offset + tensor->size_bytes();
    header[tensor->name] = {{"dtype", stored_dtype_name(tensor->dtype)},
                            {"shape", tensor->shape},
                            {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = json_text(header);
  constexpr auto kAlignment = static_cast<size_t>(kDirectAlignment);
  const size_t in_file = round_up(sizeof(uint64_t) + text.size(), kAlignment);
  text.resize(in_file - sizeof(uint64_t), ' ');
  return text;
}

void stream_data(const TensorSource& tensor, const ByteSink& sink) {
  size_t written = 0;
  tensor.produce([&](std::span<const std::byte> bytes) {
    written += bytes.size();
    sink(bytes);
  });
  CHECK(written == static_cast<size_t>(tensor.size_bytes()), tensor.name);
}

// Greedy, in the caller's order: a shard is closed by the tensor that would not fit any more.
std::vector<std::span<const TensorSource>> cut_shards(std::span<const TensorSource> tensors,
                                                      int64_t max_shard_bytes) {
  std::vector<std::span<const TensorSource>> shards;
  size_t first = 0;
  int64_t size = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const int64_t bytes = tensors[i].size_bytes();
    if (i > first && size + bytes > max_shard_bytes) {
      shards.push_back(tensors.subspan(first, i - first));
      first = i;
      size = 0;
    }
    size += bytes;
  }
  shards.push_back(tensors.subspan(first));
  return shards;
}

}  // namespace

int64_t TensorSource::size_bytes() const {
  int64_t size = static_cast<int64_t>(stored_dtype_bytes(dtype));
  for (const int64_t extent : shape) size *= extent;
  return size;
}

TensorSource source_of(const NamedTensor& tensor) {
  TensorSource source{.name = tensor.name,
                      .dtype = stored_dtype_of(tensor.dtype),
                      .shape = tensor.shape,
                      .produce = nullptr};
  const std::span bytes(static_cast<const std::byte*>(tensor.data),
                        static_cast<size_t>(source.size_bytes()));
  source.produce = [bytes](const ByteSink& sink) { sink(bytes); };
  return source;
}

void stream_safetensors(std::span<const TensorSource> tensors,
                        std::map<std::string, std::string> metadata, const FileSink& sink) {
  metadata.emplace("format", "pt");
  const std::vector<const TensorSource*> order = aligned_order(tensors);
  const std::string header = header_text(order, metadata);
  const uint64_t header_bytes = header.size();
  sink.write(std::as_bytes(std::span(&header_bytes, 1)));
  sink.write(std::as_bytes(std::span(header)));
  for (const TensorSource* tensor : order) {
    stream_data(*tensor, tensor->stays ? sink.write_in_place : sink.write);
  }
}

void stream_safetensors(std::span<const TensorSource> tensors,
                        std::map<std::string, std::string> metadata, DirectWriter& file) {
  stream_safetensors(
      tensors, std::move(metadata),
      {.write = [&file](std::span<const std::byte> bytes) { file.write(bytes); },
       .write_in_place =
           [&file](std::span<const std::byte> bytes) { file.write_in_place(bytes); }});
}

void write_safetensors(const std::filesystem::path& path, std::span<const TensorSource> tensors,
                       std::map<std::string, std::string> metadata) {
  AtomicFile file(path);
  const ByteSink write = [&file](std::span<const std::byte> bytes) { file.write(bytes); };
  stream_safetensors(tensors, std::move(metadata), {.write = write, .write_in_place = write});
  file.commit();
}

void write_sharded_safetensors(std::span<const TensorSource> tensors, int64_t max_shard_bytes,
                               const ShardSink& sink) {
  const std::vector<std::span<const TensorSource>> shards = cut_shards(tensors, max_shard_bytes);
  if (shards.size() == 1) {
    sink.write_tensors("model.safetensors", tensors);
    return;
  }
  int64_t total_size = 0;
  nlohmann::ordered_json weight_map = nlohmann::ordered_json::object();
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    sink.write_tensors(name, shards[i]);
    for (const TensorSource& tensor : shards[i]) {
      CHECK(!weight_map.contains(tensor.name), tensor.name);
      weight_map[tensor.name] = name;
      total_size += tensor.size_bytes();
    }
  }
  const nlohmann::ordered_json index = {{"metadata", {{"total_size", total_size}}},
                                        {"weight_map", weight_map}};
  sink.write_text("model.safetensors.index.json", json_text(index, 2) + "\n");
}

void write_sharded_safetensors(const std::filesystem::path& folder,
                               std::span<const TensorSource> tensors, int64_t max_shard_bytes) {
  write_sharded_safetensors(
      tensors, max_shard_bytes,
      {.write_tensors =
           [&](const std::string& name, std::span<const TensorSource> shard) {
             write_safetensors(folder / name, shard);
           },
       .write_text = [&](const std::string& name,
                         const std::string& text) { write_file_atomically(folder / name, text); }});
}

}  // namespace borealis
