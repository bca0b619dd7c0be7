#include "checkpoint/state_pieces.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "checkpoint/damage.h"
#include "checkpoint/run_state.h"
#include "checkpoint/safetensors_file.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

// A piece of a file, with the targets that want a part of it.
struct StoredPiece {
  uint64_t file_begin = 0;  // bytes
  uint64_t file_end = 0;
  int64_t begin = 0;  // elements of the tensor
  int64_t end = 0;
  std::vector<size_t> targets;
};

// Hands the parts of files to those who want them, and counts what each got.
class PieceRouter {
 public:
  explicit PieceRouter(std::span<const PieceTarget> targets)
      : targets_(targets), stored_(targets.size()) {
    for (size_t i = 0; i < targets.size(); ++i) {
      by_name_[{targets[i].kind, targets[i].tensor}].push_back(i);
    }
  }

  // The wanted pieces of a file, in the order of its bytes.
  std::vector<StoredPiece> wanted_of(const SafetensorsFile& file) const {
    std::vector<StoredPiece> wanted;
    for (const TensorView& view : file.tensors()) {
      const auto name = parse_piece_name(view.name);
      if (!name)
        reject_checkpoint(file.path(), fmt::format("has '{}', which is no piece", view.name));
      const uint64_t offset = file.offset_of(view);
      if (view.dtype != StoredDType::kF32 || view.shape.size() != 1 ||
          offset % sizeof(float) != 0) {
        reject_checkpoint(file.path(),
                          fmt::format("has the piece {} not as a row of aligned f32", view.name));
      }
      StoredPiece piece{offset, offset + view.bytes.size(), name->begin, name->begin, {}};
      if (__builtin_add_overflow(piece.begin, view.shape[0], &piece.end)) {
        reject_checkpoint(file.path(),
                          fmt::format("has the piece {} behind the end of counting", view.name));
      }
      const auto found = by_name_.find({name->kind, name->tensor});
      if (found == by_name_.end()) continue;
      for (const size_t target : found->second) {
        if (targets_[target].begin < piece.end && piece.begin < targets_[target].end) {
          piece.targets.push_back(target);
        }
      }
      if (!piece.targets.empty()) wanted.push_back(std::move(piece));
    }
    return wanted;
  }

  // `values` are elements of `piece` from element `first` of the tensor on.
  void deliver(const StoredPiece& piece, int64_t first, std::span<const float> values) {
    const int64_t last = first + std::ssize(values);
    for (const size_t i : piece.targets) {
      const PieceTarget& target = targets_[i];
      const int64_t from = std::max(first, target.begin), to = std::min(last, target.end);
      if (from >= to) continue;
      stored_[i] += to - from;
      if (stored_[i] > target.end - target.begin) return;  // told by require_complete
      target.store(from - target.begin, values.subspan(static_cast<size_t>(from - first),
                                                       static_cast<size_t>(to - from)));
    }
  }

  bool is_complete() const {
    for (size_t i = 0; i < targets_.size(); ++i) {
      if (stored_[i] != targets_[i].end - targets_[i].begin) return false;
    }
    return true;
  }

  void require_complete(const fs::path& folder) const {
    for (size_t i = 0; i < targets_.size(); ++i) {
      const PieceTarget& target = targets_[i];
      const int64_t wanted = target.end - target.begin;
      if (stored_[i] == wanted) continue;
      reject_checkpoint(folder, fmt::format("has {} of the {} elements of {} of {}", stored_[i],
                                            wanted, target.kind, target.tensor));
    }
  }

 private:
  std::span<const PieceTarget> targets_;
  std::vector<int64_t> stored_;
  std::map<std::pair<std::string, std::string>, std::vector<size_t>> by_name_;
};

// The part of `bytes`, which lie in the file from `at` on, that belongs to each wanted piece.
// `next`: the first piece that is not behind us.
void route(const std::vector<StoredPiece>& wanted, size_t& next, uint64_t at,
           std::span<const std::byte> bytes, PieceRouter& router) {
  const uint64_t end = at + bytes.size();
  while (next < wanted.size() && wanted[next].file_end <= at) ++next;
  for (size_t i = next; i < wanted.size() && wanted[i].file_begin < end; ++i) {
    const StoredPiece& piece = wanted[i];
    const uint64_t from = std::max(at, piece.file_begin), to = std::min(end, piece.file_end);
    const std::span part = bytes.subspan(from - at, to - from);
    router.deliver(piece,
                   piece.begin + static_cast<int64_t>((from - piece.file_begin) / sizeof(float)),
                   {reinterpret_cast<const float*>(part.data()), part.size() / sizeof(float)});
  }
}

}  // namespace

std::string piece_name(std::string_view kind, std::string_view tensor, int64_t begin) {
  return fmt::format("{}:{}:{}", kind, tensor, begin);
}

std::optional<PieceName> parse_piece_name(std::string_view name) {
  const size_t first = name.find(':'), last = name.rfind(':');
  if (first == std::string_view::npos || first == last) return std::nullopt;
  PieceName piece{std::string(name.substr(0, first)),
                  std::string(name.substr(first + 1, last - first - 1)), 0};
  const char* const end = name.data() + name.size();
  const auto [stop, code] = std::from_chars(name.data() + last + 1, end, piece.begin);
  const bool known =
      piece.kind == kMasterWeight || piece.kind == kFirstMoment || piece.kind == kSecondMoment;
  if (code != std::errc() || stop != end || piece.begin < 0 || !known || piece.tensor.empty()) {
    return std::nullopt;
  }
  return piece;
}

TensorSource piece_source(std::string_view kind, std::string_view tensor, int64_t begin,
                          int64_t size, std::function<void(const ByteSink&)> produce) {
  return {.name = piece_name(kind, tensor, begin),
          .dtype = StoredDType::kF32,
          .shape = {size},
          .produce = std::move(produce)};
}

TensorSource piece_source(std::string_view kind, std::string_view tensor, int64_t begin,
                          std::span<const float> values) {
  TensorSource source =
      piece_source(kind, tensor, begin, std::ssize(values),
                   [values](const ByteSink& sink) { sink(std::as_bytes(values)); });
  source.stays = true;
  return source;
}

void read_state_pieces(const fs::path& folder, int64_t shards, const FileChecksums& checksums,
                       std::span<const PieceTarget> targets, DirectBlocks& blocks,
                       int64_t first_shard) {
  PieceRouter router(targets);
  for (int64_t opened = 0; opened < shards; ++opened) {
    if (!targets.empty() && router.is_complete()) break;
    const int64_t shard = (first_shard + opened) % shards;
    const std::string name = fmt::format("{}/{}", kStateFolder, state_shard_name(shard, shards));
    const auto expected = checksums.find(name);
    if (expected == checksums.end())
      reject_checkpoint(folder, fmt::format("has no checksum of {}", name));
    const SafetensorsFile file(folder / name);
    const std::vector<StoredPiece> wanted = router.wanted_of(file);
    if (wanted.empty() && !targets.empty() && shards > 1) continue;  // others read and verify it
    uint64_t at = 0;
    size_t next = 0;
    const std::string checksum =
        read_direct(folder / name, blocks, [&](std::span<const std::byte> bytes) {
          route(wanted, next, at, bytes, router);
          at += bytes.size();
        });
    if (checksum != expected->second) {
      reject_checkpoint(folder / name,
                        fmt::format("does not have its checksum in {}", kChecksumsFile));
    }
  }
  router.require_complete(folder);
}

}  // namespace borealis
