// sweep.json: what a sweep has come to, in its folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "sweep/point.h"

namespace borealis {

inline constexpr const char* kSweepFileName = "sweep.json";

struct SweepState {
  std::string created_at;  // local time, "2025-08-21 12:44:05"
  int64_t steps = 10;      // of every run
  int64_t warmup_steps = 2;
  int64_t repeats = 1;
  std::vector<SweepPoint> points;  // in the order that they run in
};

std::string sweep_state_json(const SweepState& state);
// Throws Error(kData) for what is no such document. `name`: of the file, for the message.
SweepState parse_sweep_state(const std::string& text, const std::string& name);

// None if the folder, or the file, does not exist. Throws Error(kFile), Error(kData).
std::optional<SweepState> read_sweep_state(const std::filesystem::path& folder);
// Replaces it atomically.
void write_sweep_state(const std::filesystem::path& folder, const SweepState& state);

}  // namespace borealis
