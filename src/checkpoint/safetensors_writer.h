// Writes safetensors files, one or several (shards with an index), as other tools read them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/direct_file.h"
#include "checkpoint/named_tensor.h"
#include "checkpoint/safetensors_dtype.h"

namespace borealis {

using ByteSink = std::function<void(std::span<const std::byte>)>;

// Where a file's bytes go.
struct FileSink {
  ByteSink write;
  // Of bytes that stay as they are until the file is complete.
  ByteSink write_in_place;
};

// A tensor to be written: its bytes are asked for when their place in the file has come, so that
// they need not be in memory all at once.
struct TensorSource {
  std::string name;
  StoredDType dtype = StoredDType::kF32;
  std::vector<int64_t> shape;
  std::function<void(const ByteSink&)> produce;  // passes exactly size_bytes() on (CHECKed)
  bool stays = false;  // what it passes on stays as it is until the file is complete

  int64_t size_bytes() const;
};

TensorSource source_of(const NamedTensor& tensor);  // refers to the tensor's data

// The bytes of a file. Wider element types come first, so that every tensor is aligned; otherwise
// the order is the caller's. Names must differ (CHECKed). `metadata` gets {"format": "pt"}, without
// which loaders refuse the file. The first tensor begins on a multiple of kDirectAlignment.
void stream_safetensors(std::span<const TensorSource> tensors,
                        std::map<std::string, std::string> metadata, const FileSink& sink);
void stream_safetensors(std::span<const TensorSource> tensors,
                        std::map<std::string, std::string> metadata, DirectWriter& file);

// One file, under its name only once it is complete and on the disk (AtomicFile).
void write_safetensors(const std::filesystem::path& path, std::span<const TensorSource> tensors,
                       std::map<std::string, std::string> metadata = {});

inline constexpr int64_t kMaxShardBytes = 5'000'000'000;  // what the ecosystem's tools use

// model.safetensors, or, beyond max_shard_bytes, model-00001-of-0000N.safetensors and the text of
// model.safetensors.index.json. A tensor larger than the limit gets a shard of its own. The folder
// that they go to is to be fresh: shards of an earlier export would be picked up by loaders.
struct ShardSink {
  std::function<void(const std::string& name, std::span<const TensorSource>)> write_tensors;
  std::function<void(const std::string& name, const std::string& text)> write_text;
};
void write_sharded_safetensors(std::span<const TensorSource> tensors, int64_t max_shard_bytes,
                               const ShardSink& sink);
// Into a folder, each file by write_safetensors.
void write_sharded_safetensors(const std::filesystem::path& folder,
                               std::span<const TensorSource> tensors,
                               int64_t max_shard_bytes = kMaxShardBytes);

}  // namespace borealis
