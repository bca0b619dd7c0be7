#include "base/pace.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace borealis {
namespace {

using Clock = Pace::Clock;
constexpr std::chrono::milliseconds kWork(5);
constexpr std::chrono::hours kLong(24);
constexpr double kForEver = 1e6;  // 5 ms of work and more than an hour of rest

TEST(Pace, RestsAtMostTheMultipleOfTheWork) {
  Pace pace(3);
  pace.begin(kLong, 1);
  std::this_thread::sleep_for(kWork);
  const Clock::time_point before = Clock::now();
  pace.rest();
  EXPECT_GE(Clock::now() - before, 3 * kWork);
}

TEST(Pace, SpreadsItsPartsOverTheTime) {
  Pace pace(kForEver);
  for (const int64_t guess : {4, 1000}) {  // in the second work, what the first did counts
    const Clock::time_point before = Clock::now();
    pace.begin(4 * kWork, guess);
    for (int part = 1; part <= 4; ++part) {
      pace.rest();
      EXPECT_GE(Clock::now() - before, part * kWork) << guess;
    }
  }
}

TEST(Pace, HurryEndsTheRestUnderWay) {
  Pace pace(kForEver);
  pace.begin(kLong, 1);
  std::this_thread::sleep_for(kWork);
  std::thread worker([&pace] { pace.rest(); });
  std::this_thread::sleep_for(kWork);  // the worker rests, or is about to
  pace.hurry();
  worker.join();
}

TEST(Pace, DoesNotRestAgainOnceHurried) {
  Pace pace(kForEver);
  pace.begin(kLong, 1);
  pace.hurry();
  for (int part = 0; part < 3; ++part) {
    std::this_thread::sleep_for(kWork);
    pace.rest();
  }
}

TEST(Pace, RestsNoLongerThanItsTime) {
  Pace pace(kForEver);
  pace.begin(4 * kWork, 1);
  for (int part = 0; part < 3; ++part) {
    std::this_thread::sleep_for(kWork);
    pace.rest();  // the first ends with the time, the others at once
  }
}

TEST(Pace, RestsAgainAfterANewBeginning) {
  Pace pace(3);
  pace.hurry();
  pace.begin(kLong, 1);
  std::this_thread::sleep_for(kWork);
  const Clock::time_point before = Clock::now();
  pace.rest();
  EXPECT_GE(Clock::now() - before, 3 * kWork);
}

}  // namespace
}  // namespace borealis
