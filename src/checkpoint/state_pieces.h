// The numbers of a run's state: master weights and moments, as 1-D pieces of tensors in safetensors
// files, one file a shard. A piece is named "<kind>:<tensor>:<first element>" and holds f32; kinds
// have the names of universal checkpoints. Which shard holds what is read from the files, so any
// number of shards is read by any other number of them: what a reader wants is the intersection of
// its ranges with theirs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/direct_file.h"
#include "checkpoint/checksums.h"
#include "checkpoint/safetensors_writer.h"

namespace borealis {

inline constexpr std::string_view kMasterWeight = "fp32";
inline constexpr std::string_view kFirstMoment = "exp_avg";
inline constexpr std::string_view kSecondMoment = "exp_avg_sq";

struct PieceName {
  std::string kind;
  std::string tensor;
  int64_t begin = 0;  // element of the tensor, flat in row-major order
};
std::string piece_name(std::string_view kind, std::string_view tensor, int64_t begin);
// nullopt: the name of no piece.
std::optional<PieceName> parse_piece_name(std::string_view name);

// A piece to be written: 'size' elements that `produce` passes on, in order, as f32.
TensorSource piece_source(std::string_view kind, std::string_view tensor, int64_t begin,
                          int64_t size, std::function<void(const ByteSink&)> produce);
// Of values that stay as they are until the file is complete.
TensorSource piece_source(std::string_view kind, std::string_view tensor, int64_t begin,
                          std::span<const float> values);

// Elements [begin, end) of a tensor that a reader wants: store(at, values) gets them in parts, `at`
// counted from `begin`, each element once, in any order.
struct PieceTarget {
  std::string kind;
  std::string tensor;
  int64_t begin = 0;
  int64_t end = 0;
  std::function<void(int64_t at, std::span<const float> values)> store;
};

// Reads the state's shards in the step folder `folder`, each once from front to back, and verifies
// them by `checksums`. It begins with `first_shard` and opens no more of them, round the ring, once
// it has what is wanted: thousands of ranks that each opened every file would keep a file system
// busy for longer than it takes to read them. Without targets all are verified. Throws Error(kData)
// naming the file that is damaged, or the tensor of which elements are missing or there twice;
// Error(kFile) if a file cannot be read.
void read_state_pieces(const std::filesystem::path& folder, int64_t shards,
                       const FileChecksums& checksums, std::span<const PieceTarget> targets,
                       DirectBlocks& blocks, int64_t first_shard = 0);

}  // namespace borealis
