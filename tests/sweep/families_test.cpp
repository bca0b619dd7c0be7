#include "sweep/families.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sweep/time_left.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

SweepPoint point(const std::string& arch, int64_t layers) {
  SweepPoint point;
  point.settings = {{"MODEL_ARCH", arch}, {"NLAYERS", std::to_string(layers)}};
  point.name = point_name(point.settings);
  point.key = {"1.0", "machine", "configuration"};
  point.plan.num_hidden_layers = layers;
  point.plan.tokens_per_step = 10;
  point.plan.flops_per_token = static_cast<double>(layers);
  return point;
}

SweepPoint point(const std::string& arch, int64_t layers, PointState state, int64_t runs = 0) {
  SweepPoint one = point(arch, layers);
  one.state = state;
  if (state != PointState::kDone && state != PointState::kPending) one.reason = "a reason";
  for (int64_t repeat = 1; repeat <= runs; ++repeat) {
    one.runs.push_back(run_folder_name(one, repeat));
  }
  return one;
}

std::vector<std::string> names(const std::vector<SweepPoint>& points) {
  std::vector<std::string> all;
  for (const SweepPoint& one : points) all.push_back(one.name);
  return all;
}

// One point after a command that knew it as `before`.
SweepPoint gone_on(const SweepPoint& before, SweepPoint now, int64_t repeats = 1) {
  SweepState earlier, state;
  earlier.points = {before};
  state.repeats = repeats;
  state.points = {std::move(now)};
  go_on_from(earlier, state);
  return state.points.front();
}

TEST(Families, RunByLayersOneAfterTheOther) {
  const auto ordered = in_family_order(
      {point("b", 16), point("a", 4), point("b", 8), point("a", 10), point("b", 9)});
  EXPECT_THAT(names(ordered),
              ElementsAre("b_nlayers8", "b_nlayers9", "b_nlayers16", "a_nlayers4", "a_nlayers10"));
}

TEST(Families, EndBehindTheFirstThatRunsOutOfMemory) {
  std::vector<SweepPoint> points = {
      point("a", 2, PointState::kDone), point("a", 4, PointState::kFailed),
      point("a", 6, PointState::kKilled), point("a", 8), point("b", 10)};
  EXPECT_EQ(out_of_memory_before(points, 2), nullptr);
  EXPECT_EQ(out_of_memory_before(points, 3), &points[2]);
  EXPECT_EQ(out_of_memory_before(points, 4), nullptr);  // another family
  points[2].state = PointState::kDoesNotFit;
  EXPECT_EQ(out_of_memory_before(points, 3), &points[2]);
  points[2].state = PointState::kFailed;
  EXPECT_EQ(out_of_memory_before(points, 3), nullptr);
}

TEST(GoingOn, KeepsWhatIsDone) {
  const SweepPoint kept = gone_on(point("a", 2, PointState::kDone, 1), point("a", 2));
  EXPECT_EQ(kept.state, PointState::kDone);
  EXPECT_THAT(kept.runs, ElementsAre("points/a_nlayers2/1"));
}

TEST(GoingOn, RunsOnlyTheRepeatsThatAreMissing) {
  const SweepPoint more = gone_on(point("a", 2, PointState::kDone, 2), point("a", 2), 3);
  EXPECT_EQ(more.state, PointState::kPending);
  EXPECT_EQ(more.runs.size(), 2);
  const SweepPoint cut_off = gone_on(point("a", 2, PointState::kPending, 1), point("a", 2), 3);
  EXPECT_EQ(cut_off.state, PointState::kPending);
  EXPECT_EQ(cut_off.runs.size(), 1);
  EXPECT_EQ(gone_on(point("a", 2, PointState::kDone, 3), point("a", 2), 2).state,
            PointState::kDone);
}

TEST(GoingOn, RepeatsWhatAnotherKeyMeasured) {
  for (std::string PointKey::*part :
       {&PointKey::version, &PointKey::machine, &PointKey::configuration}) {
    SweepPoint now = point("a", 2);
    now.key.*part = "another";
    const SweepPoint again = gone_on(point("a", 2, PointState::kDone, 1), now);
    EXPECT_EQ(again.state, PointState::kPending);
    EXPECT_THAT(again.runs, IsEmpty());
    EXPECT_EQ(again.key, now.key);
  }
}

TEST(GoingOn, AsksThePlanAgainWhetherItFits) {
  SweepPoint now = point("a", 2);
  EXPECT_EQ(gone_on(point("a", 2, PointState::kDoesNotFit), now).state, PointState::kPending);
  now.plan.fits = false;
  const SweepPoint stays = gone_on(point("a", 2, PointState::kDoesNotFit), now);
  EXPECT_EQ(stays.state, PointState::kDoesNotFit);
  EXPECT_EQ(stays.reason, "a reason");
}

TEST(GoingOn, TriesFailuresAgainButNotWhatWasKilled) {
  EXPECT_EQ(gone_on(point("a", 2, PointState::kFailed), point("a", 2)).state, PointState::kPending);
  EXPECT_EQ(gone_on(point("a", 2, PointState::kBeyondMemory), point("a", 2)).state,
            PointState::kPending);
  EXPECT_EQ(gone_on(point("a", 2, PointState::kOutOfMemory), point("a", 2)).state,
            PointState::kPending);
  EXPECT_EQ(gone_on(point("a", 2, PointState::kKilled), point("a", 2)).state, PointState::kKilled);
}

TEST(GoingOn, KeepsPointsThatAreNotInTheGridNow) {
  SweepState earlier, state;
  earlier.created_at = "2026-01-02 03:04:05";
  earlier.points = {point("a", 2, PointState::kDone, 1), point("a", 4, PointState::kPending),
                    point("a", 6, PointState::kDone, 1)};
  state.points = {point("a", 6), point("a", 8)};
  go_on_from(earlier, state);
  EXPECT_EQ(state.created_at, earlier.created_at);
  EXPECT_THAT(names(state.points), ElementsAre("a_nlayers6", "a_nlayers8", "a_nlayers2"));
  EXPECT_TRUE(state.points[1].in_grid);
  EXPECT_FALSE(state.points[2].in_grid);
}

TEST(SweepClock, GoesByFlops) {
  SweepClock clock(5);
  EXPECT_FALSE(clock.run_seconds(point("a", 4)));
  EXPECT_FALSE(clock.seconds_left({point("a", 4)}, 1, false));
  clock.add_run(point("a", 2), 6);
  clock.add_run(point("a", 4), 12);
  EXPECT_DOUBLE_EQ(*clock.run_seconds(point("a", 10)), 30);
  std::vector<SweepPoint> points = {
      point("a", 4, PointState::kDone, 2), point("a", 6, PointState::kPending, 1),
      point("a", 8, PointState::kDoesNotFit), point("a", 10), point("b", 10)};
  points[4].plan.fits = false;
  EXPECT_DOUBLE_EQ(*clock.seconds_left(points, 2, false), 18);
  EXPECT_DOUBLE_EQ(*clock.seconds_left(points, 2, true), 18 + 60);
}

}  // namespace
}  // namespace borealis
