// What a run is besides its numbers: the content of state/state.json. It says nothing of devices or
// threads, and of ranks only how many shards the numbers were written in.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/data_order.h"

namespace borealis {

inline constexpr const char* kStateFolder = "state";
inline constexpr const char* kStateFile = "state/state.json";
// States of a run that has changed its global batch are of version 2, others of version 1.
inline constexpr int64_t kStateVersion = 2;

// The learning-rate schedule of a run that has changed its global batch. Its lengths stay what they
// were: iterations of the batch that the run began with, in samples.
struct SchedulePlace {
  int64_t batch = 1;    // samples of an iteration of the schedule
  int64_t samples = 0;  // of the schedule, done where the steps of today's batch begin
  int64_t step = 1;     // samples of the schedule that each step since then stands for

  bool operator==(const SchedulePlace&) const = default;
};

// Where the steps of one global batch begin: behind the run's last change of it, or at its start.
struct GlobalBatchStart {
  int64_t iteration = 0;
  int64_t consumed_samples = 0;                          // of the training data
  std::optional<SchedulePlace> schedule = std::nullopt;  // none: in steps of today's batch

  bool operator==(const GlobalBatchStart&) const = default;
};

// How far the schedule is after `iteration` steps, in its samples, of which `batch` make one
// iteration of its lengths.
struct ScheduleProgress {
  int64_t samples = 0;
  int64_t batch = 1;
};
ScheduleProgress schedule_progress(const GlobalBatchStart& start, int64_t iteration,
                                   int64_t global_batch_size);
nlohmann::ordered_json global_batch_start_json(const GlobalBatchStart& start);

struct RunState {
  int64_t iteration = 0;  // steps done, skipped ones included
  ConsumedSamples consumed;
  GlobalBatchStart batch_start;
  int64_t optimizer_steps = 0;  // updates made: the t of AdamW's bias corrections
  int64_t skipped_iterations = 0;
  int64_t skipped_in_a_row = 0;
  std::vector<double> recent_grad_norms;  // oldest first; of a run that skips spikes, else empty
  DataIdentity data;
  DataOrder data_order;
  // The resolved configuration of the run that wrote it, as in a run's config.json, without what
  // belongs to the machine or the run's folders.
  nlohmann::json configuration;
  int64_t shards = 1;  // of the numbers beside it

  // For people, and for the link from a resumed run to the one before.
  std::string run_dir;     // absolute; of the run that wrote it
  std::string written_at;  // local time
  std::string version;     // of Borealis
};

std::string run_state_text(const RunState& state);
// Throws Error(kData) naming what is missing, of the wrong type or out of range, and for a state of
// a later version of Borealis. `path` is for messages.
RunState parse_run_state(std::string_view text, const std::filesystem::path& path);

// "shard-00000-of-00001.safetensors"
std::string state_shard_name(int64_t shard, int64_t shards);

}  // namespace borealis
