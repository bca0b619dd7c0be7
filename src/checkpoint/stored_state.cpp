#include "checkpoint/stored_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/json_excerpt.h"
#include "checkpoint/damage.h"
#include "checkpoint/state_pieces.h"

namespace borealis {
namespace fs = std::filesystem;

bool StoredState::is_in(const fs::path& folder) { return fs::exists(folder / kStateFolder); }

StoredState::StoredState(const fs::path& folder)
    : folder_(folder),
      state_(parse_run_state(read_json_text(folder / kStateFile), folder / kStateFile)) {
  for (int64_t shard = 0; shard < state_.shards; ++shard) {
    files_.push_back(std::make_unique<SafetensorsFile>(folder / kStateFolder /
                                                       state_shard_name(shard, state_.shards)));
    add_pieces_of(*files_.back());
  }
  for (auto& [name, pieces] : pieces_) std::ranges::sort(pieces, {}, &Piece::begin);
}

void StoredState::add_pieces_of(const SafetensorsFile& file) {
  for (const TensorView& view : file.tensors()) {
    const auto name = parse_piece_name(view.name);
    if (!name)
      reject_checkpoint(file.path(), fmt::format("has '{}', which is no piece", view.name));
    if (view.dtype != StoredDType::kF32 || view.shape.size() != 1) {
      reject_checkpoint(file.path(),
                        fmt::format("has the piece {} not as a row of f32", view.name));
    }
    Piece piece{&file, &view, name->begin, 0};
    if (__builtin_add_overflow(piece.begin, view.shape[0], &piece.end)) {
      reject_checkpoint(file.path(),
                        fmt::format("has the piece {} behind the end of counting", view.name));
    }
    pieces_[{name->kind, name->tensor}].push_back(piece);
  }
}

int64_t StoredState::bytes() const {
  int64_t bytes = 0;
  for (const auto& [name, pieces] : pieces_) {
    for (const Piece& piece : pieces) bytes += static_cast<int64_t>(piece.view->bytes.size());
  }
  return bytes;
}

void StoredState::require_cover(const Pieces& pieces, const std::string& name,
                                int64_t elements) const {
  int64_t covered = 0;
  bool once = true;
  for (const Piece& piece : pieces) {
    once &= piece.begin == covered;
    covered = piece.end;
  }
  if (once && covered == elements) return;
  reject_checkpoint(
      folder_ / kStateFolder,
      fmt::format("the pieces of {} do not cover its {} elements, each once", name, elements));
}

TensorElements StoredState::elements(std::string_view kind, const std::string& tensor,
                                     const std::vector<int64_t>& shape) const {
  const std::string name = fmt::format("{} of {}", kind, tensor);
  TensorElements result{.name = name, .dtype = StoredDType::kF32, .shape = shape, .read = {}};
  const auto found = pieces_.find({std::string(kind), tensor});
  if (found == pieces_.end()) {
    reject_checkpoint(folder_ / kStateFolder, fmt::format("has no {}", name));
  }
  require_cover(found->second, name, result.element_count());
  result.read = [pieces = &found->second](int64_t begin, std::span<float> out) {
    read(*pieces, begin, out);
  };
  return result;
}

void StoredState::read(const Pieces& pieces, int64_t begin, std::span<float> out) {
  const int64_t end = begin + std::ssize(out);
  for (const Piece& piece : pieces) {
    const int64_t from = std::max(begin, piece.begin), to = std::min(end, piece.end);
    if (from >= to) continue;
    const auto count = static_cast<size_t>(to - from);
    const std::span<const std::byte> part = piece.view->bytes.subspan(
        static_cast<size_t>(from - piece.begin) * sizeof(float), count * sizeof(float));
    std::memcpy(out.data() + (from - begin), part.data(), part.size());
    piece.file->forget(part);
  }
}

}  // namespace borealis
