#include "cli/start_phases.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/process.h"
#include "comm/collectives.h"

namespace borealis {

void StartPhases::end(std::string_view phase) {
  const double now_s = process_age_s();
  auto at = std::ranges::find(phases_, phase, &NamedSeconds::name);
  if (at == phases_.end()) at = phases_.insert(phases_.end(), {std::string(phase), 0});
  at->seconds += now_s - ended_s_;
  ended_s_ = now_s;
}

std::vector<NamedSeconds> StartPhases::longest(Communicator& ranks) const {
  std::vector<double> own;
  for (const NamedSeconds& phase : phases_) own.push_back(phase.seconds);
  std::vector<double> all(own.size() * static_cast<size_t>(ranks.size()));
  ranks.all_gather(std::span<const double>(own), std::span<double>(all), "starting");
  std::vector<NamedSeconds> longest = phases_;
  for (size_t i = 0; i < all.size(); ++i) {
    double& seconds = longest[i % own.size()].seconds;
    seconds = std::max(seconds, all[i]);
  }
  return longest;
}

std::string start_line(const std::vector<NamedSeconds>& phases, int64_t ranks) {
  std::vector<std::string> parts;
  double total = 0;
  for (const NamedSeconds& phase : phases) {
    parts.push_back(fmt::format("{} {:.2f}", phase.name, phase.seconds));
    total += phase.seconds;
  }
  return fmt::format("start: {:.2f} s: {}{}", total, fmt::join(parts, ", "),
                     ranks == 1 ? "" : " (each of the rank that took the longest)");
}

}  // namespace borealis
