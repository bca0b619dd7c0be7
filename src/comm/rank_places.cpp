#include "comm/rank_places.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

namespace borealis {
namespace {

template <size_t kSize>
void put(std::string_view text, std::array<char, kSize>& field) {
  std::copy_n(text.begin(), std::min(text.size(), kSize - 1), field.begin());
}

}  // namespace

RankPlace this_place() {
  RankPlace place;
  ::gethostname(place.host.data(), place.host.size() - 1);
  const ProcessMark process = this_process();
  // A table that is cut would be nobody's.
  if (process.table.size() < place.process_table.size()) put(process.table, place.process_table);
  place.process_id = process.id;
  place.start_ticks = process.start_ticks;
  return place;
}

RankPlaces::RankPlaces(const std::vector<RankPlace>& by_rank) {
  for (const RankPlace& place : by_rank) {
    hosts_.emplace_back(place.host.data());
    processes_.push_back({.table = place.process_table.data(),
                          .id = place.process_id,
                          .start_ticks = place.start_ticks});
  }
}

std::string RankPlaces::name(int64_t rank) const {
  const auto at = static_cast<size_t>(rank);
  return at < hosts_.size() ? fmt::format("rank {} on {}", rank, hosts_[at])
                            : fmt::format("rank {}", rank);
}

std::optional<std::string> RankPlaces::ended(std::span<const int64_t> ranks) const {
  for (const int64_t rank : ranks) {
    const ProcessMark& process = processes_.at(static_cast<size_t>(rank));
    if (is_alive(process) != false) continue;
    return fmt::format("{} has ended (process {})", name(rank), process.id);
  }
  return std::nullopt;
}

std::optional<std::string> RankPlaces::stopped(std::span<const int64_t> ranks) const {
  for (const int64_t rank : ranks) {
    const ProcessMark& process = processes_.at(static_cast<size_t>(rank));
    if (!is_stopped(process)) continue;
    return fmt::format("{} is stopped (process {})", name(rank), process.id);
  }
  return std::nullopt;
}

}  // namespace borealis
