// Where the ranks of a job are, and what has become of them: for messages about those that are
// lost.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/process.h"

namespace borealis {

// Travels as bytes; names that are longer are cut.
struct RankPlace {
  std::array<char, 64> host{};
  std::array<char, 128> process_table{};
  int64_t process_id = 0;
  int64_t start_ticks = 0;
};
RankPlace this_place();

class RankPlaces {
 public:
  RankPlaces() = default;
  explicit RankPlaces(const std::vector<RankPlace>& by_rank);

  std::string name(int64_t rank) const;  // "rank 3 on nid001"
  // What is certain of the first of these ranks that will not answer: "rank 3 on nid001 has ended
  // (process 4711)", or "... is stopped ...". Only this machine's processes can be asked.
  std::optional<std::string> ended(std::span<const int64_t> ranks) const;
  std::optional<std::string> stopped(std::span<const int64_t> ranks) const;

 private:
  std::vector<std::string> hosts_;
  std::vector<ProcessMark> processes_;
};

}  // namespace borealis
