// Model folders made from other model folders, tensor by tensor: other element types, a larger or a
// smaller vocabulary. No more than a few MiB of weights are in memory at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/folder_writer.h"
#include "checkpoint/safetensors_writer.h"
#include "checkpoint/tensor_elements.h"
#include "config/hf_config.h"
#include "config/tokenizer_types.h"

namespace borealis {

// `tensor` in `dtype` (F32, F16, BF16; rounded to nearest even) with `rows` rows (its first
// dimension). Fewer than it has: the first ones. More: the further ones are the mean of its rows,
// as the reference's importer makes them (contract section 8.3). Producing it throws Error(kData)
// naming the tensor where a value is beyond F16's range. Refers to what `tensor` reads.
TensorSource converted(const TensorElements& tensor, int64_t rows, StoredDType dtype);

struct ConvertedModel {
  ModelConfig config;
  std::vector<TensorSource> tensors;      // what the config promises
  StoredDType dtype = StoredDType::kF32;  // of all of them
  SpecialTokens special_tokens;
  // The files of the tokenizer: of this one, else those that lie in `companions`, where
  // generation_config.json is taken from, too.
  std::optional<TokenizerSource> tokenizer = {};
  std::filesystem::path companions = {};
  int64_t max_shard_bytes = kMaxShardBytes;
};

// Writes the folder as save_model() does: as a whole, or on any failure not at all.
void save_converted(const std::filesystem::path& folder, const ConvertedModel& model,
                    FolderWriter::Checksums checksums = FolderWriter::Checksums::kNone,
                    Existing existing = Existing::kReplace);

// Files beside the weights that make a Hugging Face folder whole, and that copies keep.
std::vector<std::string> companion_files(const std::filesystem::path& folder);

}  // namespace borealis
