// Ranks as threads, each with a device whose memory the host cannot touch, and less of its own than
// a unit takes: what is exchanged is what the host would exchange.
#include "parallel/device_exchange.h"

#include <gtest/gtest.h>

#include <vector>

#include "comm/in_process.h"
#include "support/fake_gpu.h"

namespace borealis {
namespace {

constexpr int64_t kExchanged = 5000;  // the last rank owns less than the others
constexpr int64_t kStaged = 700;      // no part is a multiple of a rank's share of it

UnitCut exchanged_cut(int64_t shards) {
  const int64_t part = (kExchanged + shards - 1) / shards / 16 * 16 + 16;
  return {.offset = 0, .elements = kExchanged, .part = shards == 1 ? kExchanged : part};
}

class RankOnDevice {
 public:
  explicit RankOnDevice(Communicator& ranks)
      : buffers_memory_(measured(ranks.size()), "sums"),
        buffers(ranks.size(), std::nullopt, DType::kF32, kStaged, buffers_memory_),
        memory(device, kExchanged * sizeof(float), "a unit") {}

  float* values() const { return reinterpret_cast<float*>(memory.bytes().data()); }
  void fill(const std::vector<float>& with) {
    device.upload(values(), with.data(), with.size() * sizeof(float));
  }
  std::vector<float> now() {
    std::vector<float> all(kExchanged);
    device.download(all.data(), values(), all.size() * sizeof(float));
    return all;
  }

 private:
  static int64_t measured(int64_t ranks) {
    Arena arena = Arena::measuring();
    const SumBuffers layout(ranks, std::nullopt, DType::kF32, kStaged, arena);
    return arena.used_bytes();
  }
  Arena buffers_memory_;

 public:
  SumBuffers buffers;
  testing::FakeGpu device;
  DeviceBuffer memory;
};

std::vector<float> multiples_of(int64_t rank) {
  std::vector<float> values(kExchanged);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>((rank + 1) * static_cast<int64_t>(i % 97));
  }
  return values;
}

TEST(DeviceExchange, AddsUpWholeUnits) {
  run_in_process(3, [](Communicator& ranks) {
    RankOnDevice own(ranks);
    own.fill(multiples_of(ranks.rank()));
    EXPECT_GT(sum_on_device(ranks, own.device, own.values(), exchanged_cut(1), 1, own.buffers), 0);
    EXPECT_EQ(own.now(), multiples_of(5)) << "1 + 2 + 3 times the first";
  });
}

TEST(DeviceExchange, AddsUpWhatARankOwnsAndLeavesTheRest) {
  run_in_process(3, [](Communicator& ranks) {
    RankOnDevice own(ranks);
    const UnitCut cut = exchanged_cut(3);
    std::vector<float> expected = multiples_of(ranks.rank());
    own.fill(expected);
    EXPECT_EQ(sum_on_device(ranks, own.device, own.values(), cut, 3, own.buffers),
              2 * cut.size(ranks.rank()) * 4);
    const std::vector<float> sums = multiples_of(5);
    for (int64_t i = cut.begin(ranks.rank()); i < cut.end(ranks.rank()); ++i) {
      expected[static_cast<size_t>(i)] = sums[static_cast<size_t>(i)];
    }
    EXPECT_EQ(own.now(), expected);
  });
}

TEST(DeviceExchange, GathersWhatEachRankHas) {
  run_in_process(3, [](Communicator& ranks) {
    RankOnDevice own(ranks);
    const UnitCut cut = exchanged_cut(3);
    const std::vector<float> whole = multiples_of(0);
    std::vector<float> mine(kExchanged, -1.0f);
    for (int64_t i = cut.begin(ranks.rank()); i < cut.end(ranks.rank()); ++i) {
      mine[static_cast<size_t>(i)] = whole[static_cast<size_t>(i)];
    }
    own.fill(mine);
    gather_on_device(ranks, own.device, own.memory.bytes().data(), cut, sizeof(float), own.buffers);
    EXPECT_EQ(own.now(), whole);
  });
}

}  // namespace
}  // namespace borealis
