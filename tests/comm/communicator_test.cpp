#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>

#include "comm/collective_cases.h"
#include "comm/in_process.h"
#include "support/expect_error.h"

namespace borealis {
namespace {

class Ranks : public ::testing::TestWithParam<int> {};

TEST_P(Ranks, DoWhatAnyCommunicatorDoes) {
  std::mutex mutex;
  collective_cases::Problems problems;
  run_in_process(GetParam(), [&](Communicator& ranks) {
    const auto own = collective_cases::check_all(ranks);
    const std::lock_guard lock(mutex);
    problems.insert(problems.end(), own.begin(), own.end());
  });
  EXPECT_THAT(problems, ::testing::IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Communicator, Ranks, ::testing::Values(1, 2, 3, 4, 8, 24));

TEST(Communicator, AloneDoesTheSame) {
  const auto alone = make_lone_communicator();
  EXPECT_THAT(collective_cases::check_all(*alone), ::testing::IsEmpty());
}

// 1 + 2^-24 and the like: another order of the ranks has other bits.
TEST(Communicator, SumsInTheOrderOfTheRanks) {
  run_in_process(4, [](Communicator& ranks) {
    const float mine[] = {1.0F, 0x1p-24F, 0x1p-24F, -1.0F};
    std::vector<float> value(3, mine[ranks.rank()]);
    testing::all_reduce_sum(ranks, std::span<float>(value), "adding");
    for (const float sum : value) EXPECT_EQ(sum, ((1.0F + 0x1p-24F) + 0x1p-24F) - 1.0F);
  });
}

TEST(Communicator, RoundsABf16SumOnce) {
  run_in_process(3, [](Communicator& ranks) {
    // 256 + 1 is no bf16, 256 + 2 is.
    std::vector<bf16> value(1, bf16(ranks.rank() == 0 ? 256.0F : 1.0F));
    testing::all_reduce_sum(ranks, std::span<bf16>(value), "adding");
    EXPECT_EQ(static_cast<float>(value[0]), 258.0F);
  });
}

TEST(Communicator, ALostRankEndsTheOthersWaiting) {
  std::atomic<int> told = 0;
  EXPECT_ERROR(
      run_in_process(3,
                     [&](Communicator& ranks) {
                       if (ranks.rank() == 1) throw Error(ErrorKind::kFile, "the disk");
                       try {
                         ranks.barrier("meeting");
                       } catch (const Error& error) {
                         EXPECT_STREQ(
                             error.what(),
                             fmt::format("ranks: rank 1 has failed; rank {} waited for it: meeting",
                                         ranks.rank())
                                 .c_str());
                         ++told;
                         throw;
                       }
                     }),
      ErrorKind::kFile, "the disk");
  EXPECT_EQ(told, 2);
}

TEST(Communicator, WaitsNoLongerThanItsLimit) {
  EXPECT_ERROR(run_in_process(2,
                              [](Communicator& ranks) {
                                if (ranks.rank() == 0) ranks.barrier("meeting");
                              },
                              {.seconds = 0.05}),
               ErrorKind::kRanks, "rank 0 has waited 0.05 s for other ranks: meeting");
}

// What it brought is gone with it: nobody is to read that when the last one comes.
TEST(Communicator, ACallThatARankHasLeftNeverEnds) {
  std::atomic<bool> has_left = false;
  EXPECT_ERROR(run_in_process(2,
                              [&](Communicator& ranks) {
                                const int64_t mine = 7;
                                std::vector<int64_t> all(2);
                                if (ranks.rank() == 1) has_left.wait(false);
                                Request request = ranks.start_all_gather(
                                    std::as_bytes(std::span(&mine, 1)),
                                    std::as_writable_bytes(std::span(all)), "meeting");
                                if (ranks.rank() == 1) request.wait();
                                request = Request();
                                has_left = true;
                                has_left.notify_one();
                              },
                              {.seconds = 0.05}),
               ErrorKind::kRanks, "rank 1 has waited 0.05 s for other ranks: meeting");
}

TEST(Communicator, AbortEndsAll) {
  EXPECT_ERROR(run_in_process(2,
                              [](Communicator& ranks) {
                                if (ranks.rank() == 0) ranks.abort(9);
                                ranks.barrier("meeting");
                              }),
               ErrorKind::kRanks, "rank 0 aborted with code 9");
}

}  // namespace
}  // namespace borealis
