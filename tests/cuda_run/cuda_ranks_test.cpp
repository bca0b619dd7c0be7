// Ranks as threads, each with an emulated device, that exchange as on a machine with several GPUs:
// by NCCL's calls (cuda/emulated/nccl.h), in streams of their own; and through the hosts' memory.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <thread>
#include <utility>

#include "cuda/emulated/nccl.h"
#include "cuda/emulated/stream.h"
#include "cuda_run/emulated_backend.h"
#include "kernels/cuda/cuda_device.h"
#include "parallel/join_group.h"
#include "support/expect_error.h"
#include "support/late_weights.h"
#include "support/ranked_run.h"

namespace borealis {
namespace {

using testing::open_emulated_cuda;
using testing::RankedRunTest;
using testing::Result;

class CudaRanksTest : public RankedRunTest {
 protected:
  void SetUp() override {
    RankedRunTest::SetUp();
    config_.limits.train_iters = 2;
    config_.limits.eval_interval = 2;
    config_.batch.global_batch_size = 6;
    on_group_ = true;
  }
  std::unique_ptr<Backend> make_gpu(Communicator& ranks) override {
    return open_emulated_cuda({.number = ranks.rank(), .in_group = on_group_ && ranks.size() > 1});
  }
  Result run_at(int64_t stage, int64_t ranks, int64_t micro_batch_size = 1) {
    config_.parallel.zero_stage = stage;
    return run(ranks, micro_batch_size);
  }
  // With one micro-batch a rank.
  void expect_stages_agree(int64_t ranks) {
    const int64_t micro_batch_size = config_.batch.global_batch_size / ranks;
    const Result of_zero = run_at(0, ranks, micro_batch_size);
    ASSERT_EQ(of_zero.steps.size(), 2U);
    for (const int64_t stage : {1, 2, 3}) {
      SCOPED_TRACE(stage);
      expect_same_bits(of_zero, run_at(stage, ranks, micro_batch_size));
    }
    on_group_ = false;  // through the hosts
    for (const int64_t stage : {0, 1}) {
      SCOPED_TRACE(::testing::Message() << "through the hosts, stage " << stage);
      expect_same_bits(of_zero, run_at(stage, ranks, micro_batch_size));
    }
    on_group_ = true;
    config_.parallel.zero_stage = 0;
    // One rank has other sums within its batch.
    expect_equal(
        run(1, config_.batch.global_batch_size), of_zero,
        config_.dtype == DType::kF32 && !config_.parallel.grad_reduce_in_bf16 ? 1e-6 : 1e-2);
  }
};

TEST_F(CudaRanksTest, StagesHaveTheSameBits) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    config_.dtype = dtype;
    expect_stages_agree(2);
  }
}

TEST_F(CudaRanksTest, AlsoWithTheEmbeddingsGradientByRows) {
  config_.model.vocab_size = 4096;
  ASSERT_TRUE(make_run_layout(config_, 1).embedding_rows);
  expect_stages_agree(3);
}

TEST_F(CudaRanksTest, AlsoWithTiedHeadsAndGradientsThatTravelInBf16) {
  config_.model.tie_word_embeddings = true;
  config_.parallel.grad_reduce_in_bf16 = true;
  expect_stages_agree(3);
}

TEST_F(CudaRanksTest, OverMicroBatchesTheyFollowOneRank) {
  const Result one = run_at(0, 1);
  const Result zero = run_at(0, 3), two = run_at(2, 3);
  expect_equal(one, zero);
  expect_equal(one, two);
  expect_same_bits(zero, run_at(1, 3));
  expect_same_bits(two, run_at(3, 3));
}

// Rank 1 ends within a step, when the others have its part of the norm.
class EndingRank : public testing::LateWeights {
 public:
  using LateWeights::LateWeights;
  Request start_all_gather(std::span<const std::byte> mine, std::span<std::byte> all,
                           std::string_view what) override {
    Request request = LateWeights::start_all_gather(mine, all, what);
    if (rank() != 1 || what != "adding up the norm of the gradients") return request;
    request.wait();
    throw Error(ErrorKind::kRanks, "rank 1 ends");
  }
};

// What never ends is to end the tests.
class Alarm {
 public:
  Alarm() { ::alarm(60); }
  ~Alarm() { ::alarm(0); }
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;
};

class CudaRankLostTest : public CudaRanksTest {
 protected:
  std::unique_ptr<Communicator> make_communicator(Communicator& of_threads) override {
    return std::make_unique<EndingRank>(of_threads);
  }
  const Alarm alarm_;
};

// The others have queued a gathering of weights by then, and find it out where their hosts meet.
TEST_F(CudaRankLostTest, WhatIsQueuedForItEndsWithTheRun) {
  EXPECT_ERROR(run_at(1, 3, 2), ErrorKind::kRanks, "rank 1 ends");
}

// The calls of a group themselves.
class CudaGroupTest : public ::testing::Test {
 protected:
  // Of two ranks.
  template <typename Work>
  static void join(double seconds, const Work& work) {
    run_in_process(2, [&](Communicator& ranks) {
      const auto backend = open_emulated_cuda({.number = ranks.rank(), .in_group = true});
      ASSERT_TRUE(backend->gpu()->has_group);
      work(ranks, *backend, *join_group(*backend, ranks, seconds));
      ranks.barrier("ending");
    });
  }
  static void exchange(Communicator& ranks, DeviceGroup& group, std::span<std::byte> memory) {
    const auto other = static_cast<size_t>(1 - ranks.rank());
    std::vector<std::span<const std::byte>> to(2);
    std::vector<std::span<std::byte>> from(2);
    to[other] = memory.first(memory.size() / 2);
    from[other] = memory.last(memory.size() / 2);
    group.exchange(to, from);
  }
  const Alarm alarm_;
};

TEST_F(CudaGroupTest, FollowsWhatTheDeviceHasQueued) {
  join(60, [](Communicator& ranks, Backend& backend, DeviceGroup& group) {
    constexpr size_t kHalf = size_t{1} << 10;
    auto& device = dynamic_cast<cuda::CudaDevice&>(backend.device());
    const DeviceBuffer memory(device, 2 * kHalf, "values");
    const std::vector<std::byte> mine(kHalf, std::byte(10 + ranks.rank()));
    std::vector<std::byte> got(kHalf);
    emulated::queue(device.stream(),
                    [] { std::this_thread::sleep_for(std::chrono::milliseconds(50)); });
    device.upload(memory.bytes().data(), mine.data(), kHalf);  // behind that
    group.follow_device();
    exchange(ranks, group, memory.bytes());
    const int64_t mark = group.mark();
    group.wait_for(mark);
    device.download(got.data(), memory.bytes().data() + kHalf, kHalf);
    EXPECT_EQ(std::ranges::count(got, std::byte(11 - ranks.rank())), std::ssize(got));
    group.wait();
  });
}

TEST_F(CudaGroupTest, GivesUpARankThatDoesNotCome) {
  join(2, [](Communicator& ranks, Backend& backend, DeviceGroup& group) {
    const DeviceBuffer memory(backend.device(), 512, "values");
    if (ranks.rank() == 0) {
      exchange(ranks, group, memory.bytes());
      EXPECT_ERROR(group.wait(), ErrorKind::kRanks,
                   "rank 0 waits for the GPUs of other ranks: they do not come within the time");
    }
    ranks.barrier("until then");
  });
}

TEST_F(CudaGroupTest, GivesUpARankThatDoesNotJoin) {
  run_in_process(2, [&](Communicator& ranks) {
    const auto backend = open_emulated_cuda({.number = ranks.rank(), .in_group = true});
    Backend::GroupId id{};
    if (ranks.rank() == 0) id = backend->make_group_id();
    ranks.broadcast(std::span<std::byte>(id), 0, "the group");
    const auto join = [&] { backend->join_group(id, ranks.rank(), 2, {.seconds = 0.2}); };
    const std::string told =
        fmt::format("rank {} waits for the GPUs of other ranks: they do not come within the time",
                    ranks.rank());
    if (ranks.rank() == 0) EXPECT_ERROR(join(), ErrorKind::kRanks, told);
    ranks.barrier("until then");
    // The other one has left meanwhile.
    if (ranks.rank() == 1) EXPECT_ERROR(join(), ErrorKind::kRanks, told);
    ranks.barrier("ending");
  });
}

// The places of many rows too, which the caller may change at once.
TEST_F(CudaGroupTest, PlacesOfRowsAreQueued) {
  constexpr int64_t kRows = (int64_t{2} << 18) + 77;  // in several parts
  join(10, [](Communicator& ranks, Backend& backend, DeviceGroup& group) {
    auto& device = backend.device();
    const DeviceBuffer table(device, 7 * sizeof(float), "a table");
    const DeviceBuffer there(device, kRows * sizeof(int32_t), "places");
    const DeviceBuffer packed(device, kRows * sizeof(float), "packed rows");
    const std::vector<float> values = {1, 2, 3, 4, 5, 6, 7};
    device.upload(table.bytes().data(), values.data(), values.size() * sizeof(float));
    std::vector<int32_t> places(kRows);
    for (size_t i = 0; i < places.size(); ++i) places[i] = static_cast<int32_t>(i % 7);
    const auto pack = [&](std::span<const int32_t> some) {
      group.pack_rows(reinterpret_cast<const float*>(table.bytes().data()), some,
                      reinterpret_cast<int32_t*>(there.bytes().data()), 1,
                      reinterpret_cast<float*>(packed.bytes().data()));
    };
    group.follow_device();
    pack(places);
    std::ranges::fill(places, 0);
    group.wait();
    std::vector<float> got(kRows);
    device.download(got.data(), packed.bytes().data(), got.size() * sizeof(float));
    int64_t wrong = 0;
    for (size_t i = 0; i < got.size(); ++i) wrong += got[i] != static_cast<float>(i % 7 + 1);
    EXPECT_EQ(wrong, 0);
    if (ranks.rank() == 0) {
      // Behind what never ends, too, up to the time limit.
      exchange(ranks, group, packed.bytes().first(512));
      const std::span<const int32_t> some = std::span(places).first(40000);
      pack(some);
      pack(some);
      EXPECT_ERROR(pack(some), ErrorKind::kRanks, "they do not come within the time limit");
    }
    ranks.barrier("until then");
  });
}

// It is told where the hosts meet, and within the time limit, which is long.
TEST_F(CudaGroupTest, LooksAfterRanksThatEnd) {
  const auto work = [](Communicator& ranks, Backend& backend, DeviceGroup& group) {
    const DeviceBuffer memory(backend.device(), 512, "values");
    if (ranks.rank() == 1) throw Error(ErrorKind::kRanks, "rank 1 ends");
    exchange(ranks, group, memory.bytes());
    EXPECT_ERROR(group.wait(), ErrorKind::kRanks,
                 "rank 1 has failed; rank 0 waited for it: waiting for GPUs");
  };
  EXPECT_ERROR(join(600, work), ErrorKind::kRanks, "rank 1 ends");
}

// Rank 1 frees what it sends as soon as it has left: nobody is to read it then.
TEST_F(CudaGroupTest, WhatARankHasNotSentYetIsLostWithIt) {
  join(2, [](Communicator& ranks, Backend& backend, DeviceGroup& group) {
    const DeviceBuffer memory(backend.device(), 512, "values");
    const auto gives_up = [&] {
      EXPECT_ERROR(group.wait(), ErrorKind::kRanks, "they do not come within the time limit");
    };
    if (ranks.rank() == 1) {
      exchange(ranks, group, memory.bytes());
      gives_up();
    }
    ranks.barrier("rank 1 has left");
    if (ranks.rank() == 0) {
      exchange(ranks, group, memory.bytes());
      gives_up();
    }
    ranks.barrier("until then");
  });
}

TEST_F(CudaGroupTest, TellsWhatNcclSaysOfItself) {
  join(60, [](Communicator& ranks, Backend& backend, DeviceGroup& group) {
    const DeviceBuffer memory(backend.device(), 512, "values");
    ranks.barrier("both have joined");  // the error is everybody's
    if (ranks.rank() == 0) {
      exchange(ranks, group, memory.bytes());
      emulated::nccl_error = 6;
      EXPECT_ERROR(group.wait_for(group.mark()), ErrorKind::kRanks, "an emulated failure");
      emulated::nccl_error = 0;
    }
    ranks.barrier("until then");
  });
}

}  // namespace
}  // namespace borealis
