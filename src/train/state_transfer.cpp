#include "train/state_transfer.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "device/read_device.h"
#include "optim/adamw.h"
#include "parallel/owned_parameters.h"

namespace borealis {
namespace {

constexpr int64_t kPart = 4096;  // elements composed at a time, in the first cache

// The f32 master weights of a piece of bf16 weights, from their two halves.
void compose_on_host(const bf16* weights, const uint16_t* remainder, int64_t count,
                     const ByteSink& sink) {
  std::array<float, kPart> whole;
  for (int64_t at = 0; at < count; at += kPart) {
    const int64_t part = std::min(kPart, count - at);
    for (int64_t i = 0; i < part; ++i) {
      whole[static_cast<size_t>(i)] = SplitF32{weights[at + i], remainder[at + i]}.whole();
    }
    sink(std::as_bytes(std::span(whole).first(static_cast<size_t>(part))));
  }
}

void compose_master(Device& device, const bf16* weights, const uint16_t* remainder, int64_t count,
                    const ByteSink& sink) {
  if (device.is_host()) {
    compose_on_host(weights, remainder, count, sink);
    return;
  }
  constexpr auto kElements = static_cast<int64_t>(kDeviceReadBytes / sizeof(float));
  const auto room = static_cast<size_t>(std::min(count, kElements));
  std::vector<bf16> some_weights(room);
  std::vector<uint16_t> some_remainder(room);
  for (int64_t at = 0; at < count; at += kElements) {
    const int64_t some = std::min(kElements, count - at);
    const auto bytes = static_cast<size_t>(some) * sizeof(bf16);
    device.download(some_weights.data(), weights + at, bytes);
    device.download(some_remainder.data(), remainder + at, bytes);
    compose_on_host(some_weights.data(), some_remainder.data(), some, sink);
  }
}

const Parameter& parameter_of(const RunLayout& layout, const ShardPiece& piece) {
  return layout.table.entries()[piece.parameter];
}

// Where the master weights of a piece are kept.
class MasterWeights {
 public:
  MasterWeights(const TrainingBuffers& buffers, const ShardPiece& piece, Device& device)
      : device_(&device), dtype_(buffers.parameters.dtype) {
    if (dtype_ == DType::kBF16) {
      narrow_ = owned_weights<bf16>(buffers.parameters, piece);
      remainder_ = buffers.optimizer.master_remainder + piece.offset;
    } else {
      wide_ = owned_weights<float>(buffers.parameters, piece);
    }
  }

  void store(int64_t at, std::span<const float> values) const {
    if (dtype_ == DType::kF32) {
      device_->upload(wide_ + at, values.data(), values.size_bytes());
      return;
    }
    if (!device_->is_host()) {
      std::vector<bf16> narrow(values.size());
      std::vector<uint16_t> remainder(values.size());
      for (size_t i = 0; i < values.size(); ++i) {
        const SplitF32 split = SplitF32::of(values[i]);
        narrow[i] = split.rounded;
        remainder[i] = split.remainder;
      }
      device_->upload(narrow_ + at, narrow.data(), narrow.size() * sizeof(bf16));
      device_->upload(remainder_ + at, remainder.data(), remainder.size() * sizeof(uint16_t));
      return;
    }
    for (size_t i = 0; i < values.size(); ++i) {
      const SplitF32 split = SplitF32::of(values[i]);
      narrow_[at + static_cast<int64_t>(i)] = split.rounded;
      remainder_[at + static_cast<int64_t>(i)] = split.remainder;
    }
  }

 private:
  Device* device_;
  DType dtype_;
  bf16* narrow_ = nullptr;
  uint16_t* remainder_ = nullptr;
  float* wide_ = nullptr;
};

}  // namespace

std::vector<NamedTensor> model_tensors(const RunLayout& layout, const StateBuffers& buffers) {
  std::vector<NamedTensor> tensors;
  for (const Parameter& parameter : layout.table.entries()) {
    const auto offset_bytes = parameter.offset * static_cast<int64_t>(dtype_bytes(layout.dtype));
    tensors.push_back({parameter.name, layout.dtype, parameter.shape,
                       static_cast<const std::byte*>(buffers.weights) + offset_bytes});
  }
  return tensors;
}

std::vector<NamedTensor> model_tensors(const ParameterBuffers& sharded) {
  std::vector<NamedTensor> tensors;
  for (const Parameter& parameter : sharded.table->entries()) {
    const void* data = sharded.dtype == DType::kBF16
                           ? static_cast<const void*>(sharded.weight_at<bf16>(parameter.offset))
                           : sharded.weight_at<float>(parameter.offset);
    tensors.push_back({parameter.name, sharded.dtype, parameter.shape, data});
  }
  return tensors;
}

std::vector<TensorSource> state_sources(const RunLayout& layout, const StateBuffers& buffers,
                                        int64_t shard, Device& device) {
  std::vector<TensorSource> sources;
  for (const ShardPiece& piece : layout.partition.pieces(shard)) {
    const Parameter& parameter = parameter_of(layout, piece);
    const int64_t size = piece.size();
    const int64_t at = layout.shards_weights() ? piece.offset : parameter.offset + piece.begin;
    const OptimizerState& optimizer = buffers.optimizer;
    const auto add = [&](std::string_view kind, const float* values) {
      const std::span all(values, static_cast<size_t>(size));
      sources.push_back(device.is_host() ? piece_source(kind, parameter.name, piece.begin, all)
                                         : piece_source(kind, parameter.name, piece.begin, size,
                                                        [all, &device](const ByteSink& sink) {
                                                          read_device(device, all.data(),
                                                                      all.size_bytes(), sink);
                                                        }));
    };
    if (layout.dtype == DType::kBF16) {
      const bf16* weights = static_cast<const bf16*>(buffers.weights) + at;
      const uint16_t* remainder = optimizer.master_remainder + piece.offset;
      sources.push_back(piece_source(kMasterWeight, parameter.name, piece.begin, size,
                                     [weights, remainder, size, &device](const ByteSink& sink) {
                                       compose_master(device, weights, remainder, size, sink);
                                     }));
    } else {
      add(kMasterWeight, static_cast<const float*>(buffers.weights) + at);
    }
    add(kFirstMoment, optimizer.first_moment + piece.offset);
    add(kSecondMoment, optimizer.second_moment + piece.offset);
  }
  return sources;
}

std::vector<PieceTarget> state_targets(const RunLayout& layout, const TrainingBuffers& buffers,
                                       int64_t shard, bool moments, Device& device) {
  std::vector<PieceTarget> targets;
  for (const ShardPiece& piece : layout.partition.pieces(shard)) {
    const std::string& tensor = parameter_of(layout, piece).name;
    const auto add = [&](std::string_view kind, auto store) {
      targets.push_back({std::string(kind), tensor, piece.begin, piece.end, std::move(store)});
    };
    const auto into = [&device](float* values) {
      return [values, &device](int64_t at, std::span<const float> part) {
        device.upload(values + at, part.data(), part.size_bytes());
      };
    };
    add(kMasterWeight, [master = MasterWeights(buffers, piece, device)](
                           int64_t at, std::span<const float> part) { master.store(at, part); });
    if (!moments) continue;
    add(kFirstMoment, into(buffers.optimizer.first_moment + piece.offset));
    add(kSecondMoment, into(buffers.optimizer.second_moment + piece.offset));
  }
  return targets;
}

std::vector<PromisedTensor> promised_tensors(const ParameterTable& table) {
  std::vector<PromisedTensor> promised;
  for (const Parameter& parameter : table.entries()) {
    promised.push_back({parameter.name, parameter.shape});
  }
  return promised;
}

void load_model_weights(const ModelWeights& weights, const RunLayout& layout,
                        const TrainingBuffers& buffers, int64_t shard, Device& device) {
  for (const ShardPiece& piece : layout.partition.pieces(shard)) {
    const Parameter& parameter = parameter_of(layout, piece);
    const MasterWeights master(buffers, piece, device);
    weights.read_parts(
        parameter.name, parameter.shape, [&](int64_t at, std::span<const float> part) {
          const int64_t from = std::max(at, piece.begin);
          const int64_t to = std::min(at + std::ssize(part), piece.end);
          if (from < to) {
            master.store(from - piece.begin, part.subspan(static_cast<size_t>(from - at),
                                                          static_cast<size_t>(to - from)));
          }
        });
  }
}

void restore_derived_state(const RunLayout& layout, const TrainingBuffers& buffers, int64_t shard,
                           Device& device) {
  if (buffers.optimizer.had_gradient == nullptr) return;
  for (const ShardPiece& piece : layout.partition.pieces(shard)) {
    const Parameter& parameter = parameter_of(layout, piece);
    if (parameter.kind == ParameterKind::kEmbedding) {
      mark_rows_with_history(piece, parameter.shape[1], buffers.optimizer, device);
    }
  }
}

}  // namespace borealis
