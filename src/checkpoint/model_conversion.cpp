#include "checkpoint/model_conversion.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "base/error.h"
#include "base/file.h"
#include "base/float16.h"
#include "checkpoint/model_folder.h"
#include "checkpoint/tokenizer_files.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

constexpr std::array kTokenizerFiles = {
    "tokenizer.json",    "tokenizer.model",     "tokenizer_config.json",
    "vocab.json",        "merges.txt",          "special_tokens_map.json",
    "added_tokens.json", "chat_template.jinja", "chat_template.json"};

uint16_t checked_float16(const std::string& name, float value) {
  const uint16_t bits = float_to_float16(value);
  if ((bits & 0x7fffu) == 0x7c00u) {
    throw Error(
        ErrorKind::kData,
        fmt::format("tensor {} holds {}, beyond fp16's range of {}", name, value, kLargestFloat16),
        "export it with --dtype bf16 or fp32");
  }
  return bits;
}

bf16 checked_bf16(const std::string& name, float value) {
  const bf16 rounded(value);
  if (std::isinf(static_cast<float>(rounded)) && !std::isinf(value)) {
    throw Error(ErrorKind::kData,
                fmt::format("tensor {} holds {}, which bf16 would round to infinity", name, value),
                "export it with --dtype fp32");
  }
  return rounded;
}

template <typename T, typename Round>
void pass_on(std::span<const float> values, const ByteSink& sink, Round round) {
  std::vector<T> rounded(values.size());
  std::ranges::transform(values, rounded.begin(), round);
  sink(std::as_bytes(std::span(rounded)));
}

void pass_on_as(const std::string& name, StoredDType dtype, std::span<const float> values,
                const ByteSink& sink) {
  if (dtype == StoredDType::kF32) {
    sink(std::as_bytes(values));
  } else if (dtype == StoredDType::kBF16) {
    pass_on<bf16>(values, sink, [&](float value) { return checked_bf16(name, value); });
  } else {
    CHECK(dtype == StoredDType::kF16, name);
    pass_on<uint16_t>(values, sink, [&](float value) { return checked_float16(name, value); });
  }
}

// Sums in double: the mean of a quarter of a million rows is to be good to f32's last place.
std::vector<float> mean_row(const TensorElements& tensor) {
  const auto columns = static_cast<size_t>(tensor.element_count() / tensor.shape.front());
  std::vector<double> sums(columns, 0.0);
  for_each_part(tensor, tensor.element_count(), [&](int64_t begin, std::span<const float> part) {
    size_t column = static_cast<size_t>(begin) % columns;
    for (const float value : part) {
      sums[column] += value;
      if (++column == columns) column = 0;
    }
  });
  std::vector<float> mean(columns);
  std::ranges::transform(sums, mean.begin(), [&](double sum) {
    return static_cast<float>(sum / static_cast<double>(tensor.shape.front()));
  });
  return mean;
}

void write_companions(const fs::path& folder, const ConvertedModel& model) {
  if (model.tokenizer) {
    copy_tokenizer_files(*model.tokenizer, folder);
  } else {
    for (const std::string& name : companion_files(model.companions)) {
      copy_file_atomically(model.companions / name, folder / name);
    }
  }
  if (!fs::exists(folder / kGenerationConfigFile)) {
    write_file_atomically(folder / kGenerationConfigFile,
                          hf_generation_config_text(model.special_tokens));
  }
}

}  // namespace

TensorSource converted(const TensorElements& tensor, int64_t rows, StoredDType dtype) {
  CHECK(!tensor.shape.empty() && tensor.shape.front() > 0, tensor.name);
  TensorSource source{.name = tensor.name, .dtype = dtype, .shape = tensor.shape, .produce = {}};
  source.shape.front() = rows;
  const int64_t columns = tensor.element_count() / tensor.shape.front();
  source.produce = [tensor, rows, columns, dtype](const ByteSink& sink) {
    const int64_t kept = std::min(rows, tensor.shape.front());
    for_each_part(tensor, kept * columns, [&](int64_t, std::span<const float> part) {
      pass_on_as(tensor.name, dtype, part, sink);
    });
    if (kept == rows) return;
    const std::vector<float> mean = mean_row(tensor);
    for (int64_t row = kept; row < rows; ++row) pass_on_as(tensor.name, dtype, mean, sink);
  };
  return source;
}

void save_converted(const fs::path& folder, const ConvertedModel& model,
                    FolderWriter::Checksums checksums, Existing existing) {
  DirectBlocks blocks;
  FolderWriter writer(folder, blocks, existing);
  write_sharded_safetensors(
      model.tensors, model.max_shard_bytes,
      {.write_tensors =
           [&](const std::string& name, std::span<const TensorSource> shard) {
             writer.write_tensors(name, shard);
           },
       .write_text = [&](const std::string& name,
                         const std::string& text) { writer.write_text(name, text); }});
  writer.write_text("config.json", hf_config_text(model.config, model.special_tokens,
                                                  torch_dtype_name(model.dtype)));
  write_companions(writer.partial_path(), model);
  writer.commit(checksums);
}

std::vector<std::string> companion_files(const fs::path& folder) {
  std::vector<std::string> names;
  for (const char* name : kTokenizerFiles) {
    if (fs::is_regular_file(folder / name)) names.emplace_back(name);
  }
  if (fs::is_regular_file(folder / kGenerationConfigFile))
    names.emplace_back(kGenerationConfigFile);
  return names;
}

}  // namespace borealis
