#include "sweep/families.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

namespace borealis {
namespace {

constexpr std::string_view kLayers = "NLAYERS";

bool ran_out_of_memory(PointState state) {
  return state == PointState::kDoesNotFit || state == PointState::kOutOfMemory ||
         state == PointState::kKilled;
}

const SweepPoint* find_point(const std::vector<SweepPoint>& points, const SweepPoint& wanted) {
  for (const SweepPoint& point : points) {
    if (point.name == wanted.name && point.settings == wanted.settings) return &point;
  }
  return nullptr;
}

void take_over(const SweepPoint& before, int64_t repeats, SweepPoint& now) {
  if (before.key != now.key) return;
  now.runs = before.runs;
  const bool stays =
      (before.state == PointState::kDone && std::cmp_greater_equal(before.runs.size(), repeats)) ||
      (before.state == PointState::kDoesNotFit && !now.plan.fits) ||
      before.state == PointState::kKilled;
  if (!stays) return;
  now.state = before.state;
  now.reason = before.reason;
}

}  // namespace

PointSettings family_of(const SweepPoint& point) {
  PointSettings family = point.settings;
  std::erase_if(family, [](const auto& setting) { return setting.first == kLayers; });
  return family;
}

std::vector<SweepPoint> in_family_order(std::vector<SweepPoint> points) {
  std::map<PointSettings, size_t> place;  // of a family, by its first point
  for (const SweepPoint& point : points) place.try_emplace(family_of(point), place.size());
  std::ranges::stable_sort(points, {}, [&place](const SweepPoint& point) {
    return std::pair(place.at(family_of(point)), point.plan.num_hidden_layers);
  });
  return points;
}

const SweepPoint* out_of_memory_before(const std::vector<SweepPoint>& points, size_t index) {
  const PointSettings family = family_of(points[index]);
  for (size_t i = index; i-- > 0 && family_of(points[i]) == family;) {
    if (ran_out_of_memory(points[i].state)) return &points[i];
  }
  return nullptr;
}

bool is_settled(const SweepPoint& point) {
  return point.state == PointState::kDone || ran_out_of_memory(point.state);
}

void go_on_from(const SweepState& before, SweepState& now) {
  now.created_at = before.created_at;
  for (SweepPoint& point : now.points) {
    if (const SweepPoint* known = find_point(before.points, point)) {
      take_over(*known, now.repeats, point);
    }
  }
  for (const SweepPoint& known : before.points) {
    if (known.state == PointState::kPending || find_point(now.points, known)) continue;
    now.points.push_back(known);
    now.points.back().in_grid = false;
  }
}

}  // namespace borealis
