// Training states for tests of what reads them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "checkpoint/run_state.h"
#include "checkpoint/safetensors_writer.h"
#include "checkpoint/state_pieces.h"

namespace borealis::testing {

struct StatePiece {
  std::string kind, tensor;
  int64_t begin = 0;
  std::vector<float> values;
};

// The state of iteration 7 in `folder`, one list of pieces a shard.
inline void write_state(const std::filesystem::path& folder,
                        const std::vector<std::vector<StatePiece>>& shards) {
  borealis::create_directories(folder / kStateFolder);
  RunState state;
  state.iteration = 7;
  state.consumed.train = 28;
  state.optimizer_steps = 7;
  state.configuration = nlohmann::json::object();
  state.shards = static_cast<int64_t>(shards.size());
  write_file_atomically(folder / kStateFile, run_state_text(state));
  for (size_t i = 0; i < shards.size(); ++i) {
    std::vector<TensorSource> sources;
    for (const StatePiece& piece : shards[i]) {
      sources.push_back(piece_source(
          piece.kind, piece.tensor, piece.begin, std::ssize(piece.values),
          [&piece](const ByteSink& sink) { sink(std::as_bytes(std::span(piece.values))); }));
    }
    write_safetensors(
        folder / kStateFolder / state_shard_name(static_cast<int64_t>(i), state.shards), sources);
  }
}

}  // namespace borealis::testing
