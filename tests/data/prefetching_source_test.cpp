#include "data/prefetching_source.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>

#include "base/error.h"
#include "support/expect_error.h"

namespace borealis {
namespace {

using Start = PrefetchingSource::Start;

// Batches that hold their own number; after `count` of them it throws.
class Counting : public BatchSource {
 public:
  Counting(int32_t count, std::atomic<int>* made, int delay_ms = 0)
      : count_(count), made_(made), delay_ms_(delay_ms) {}
  void next(Batch& batch) override {
    std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms_));
    if (number_ == count_) throw Error(ErrorKind::kData, "used up", "stop");
    if (number_ == refused) throw Error(ErrorKind::kData, "refused", "pass over it");
    batch.batch_size = 1;
    batch.seq_length = 100;
    batch.tokens.assign(100, number_);
    ++number_;
    ++*made_;
  }
  void skip() override {
    if (number_ == count_) throw Error(ErrorKind::kData, "used up", "stop");
    ++number_;
  }

  int32_t refused = -1;

 private:
  int32_t count_, number_ = 0;
  std::atomic<int>* made_;
  int delay_ms_;
};

void wait_for(const std::atomic<int>& made, int count) {
  for (int i = 0; i < 5000 && made < count; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

TEST(PrefetchingSource, GivesTheBatchesInTheirOrder) {
  for (const Start start : {Start::kAtOnce, Start::kAtFirstNext}) {
    std::atomic<int> made = 0;
    PrefetchingSource source(std::make_unique<Counting>(500, &made), start);
    Batch batch;
    for (int32_t i = 0; i < 500; ++i) {
      source.next(batch);
      ASSERT_EQ(batch.tokens, std::vector<int32_t>(100, i));
    }
  }
}

TEST(PrefetchingSource, PreparesOneBatchAheadAndNoMore) {
  std::atomic<int> made = 0;
  PrefetchingSource source(std::make_unique<Counting>(9, &made), Start::kAtOnce);
  wait_for(made, 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_EQ(made, 1);
  Batch batch;
  source.next(batch);
  wait_for(made, 2);
  EXPECT_EQ(made, 2);
}

TEST(PrefetchingSource, WaitsForTheFirstNextIfToldTo) {
  std::atomic<int> made = 0;
  PrefetchingSource source(std::make_unique<Counting>(9, &made), Start::kAtFirstNext);
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_EQ(made, 0);
}

// The error belongs to the batch that could not be made, not to the ones before it.
TEST(PrefetchingSource, ThrowsWhereTheSourceItselfWould) {
  std::atomic<int> made = 0;
  PrefetchingSource source(std::make_unique<Counting>(2, &made), Start::kAtOnce);
  Batch batch;
  source.next(batch);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  source.next(batch);
  EXPECT_EQ(batch.tokens[0], 1);
  EXPECT_ERROR(source.next(batch), ErrorKind::kData, "used up");
  EXPECT_ERROR(source.next(batch), ErrorKind::kData, "used up");
}

TEST(PrefetchingSource, PassesOverBatchesAlsoRefusedOnes) {
  for (const Start start : {Start::kAtOnce, Start::kAtFirstNext}) {
    std::atomic<int> made = 0;
    auto counting = std::make_unique<Counting>(5, &made);
    counting->refused = 2;
    PrefetchingSource source(std::move(counting), start);
    Batch batch;
    source.skip();
    source.next(batch);
    EXPECT_EQ(batch.tokens[0], 1);
    EXPECT_ERROR(source.next(batch), ErrorKind::kData, "refused");
    EXPECT_ERROR(source.next(batch), ErrorKind::kData, "refused");
    source.skip();
    source.next(batch);
    EXPECT_EQ(batch.tokens[0], 3);
    source.skip();
    EXPECT_ERROR(source.next(batch), ErrorKind::kData, "used up");
    source.skip();
    EXPECT_ERROR(source.next(batch), ErrorKind::kData, "used up");
  }
}

TEST(PrefetchingSource, EndsInTheMiddleOfABatchAndAfterAFailure) {
  std::atomic<int> made = 0;
  for (const int delay_ms : {0, 30}) {
    const auto ended = [&](int32_t count, Start start) {
      PrefetchingSource(std::make_unique<Counting>(count, &made, delay_ms), start);
    };
    ended(3, Start::kAtOnce);
    ended(3, Start::kAtFirstNext);
    ended(0, Start::kAtOnce);
    PrefetchingSource source(std::make_unique<Counting>(3, &made, delay_ms), Start::kAtOnce);
    Batch batch;
    source.next(batch);  // the second one is under way when the source ends
  }
}

volatile std::sig_atomic_t handled_by_main = 0;
pthread_t main_thread;

TEST(PrefetchingSource, LeavesSignalsToTheOtherThreads) {
  main_thread = pthread_self();
  std::atomic<int> made = 0;
  PrefetchingSource source(std::make_unique<Counting>(1000, &made, 1), Start::kAtOnce);
  const auto before = std::signal(
      SIGUSR1, [](int) { handled_by_main = pthread_equal(pthread_self(), main_thread); });
  Batch batch;
  for (int i = 0; i < 20; ++i) {
    handled_by_main = 0;
    ::kill(::getpid(), SIGUSR1);
    source.next(batch);
    EXPECT_EQ(handled_by_main, 1);
  }
  std::signal(SIGUSR1, before);
}

}  // namespace
}  // namespace borealis
