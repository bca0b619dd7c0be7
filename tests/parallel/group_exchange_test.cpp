// Ranks as threads, whose devices reach each other (support/fake_group.h), with less memory for it
// than a unit takes: what they exchange is what their hosts would.
#include "parallel/group_exchange.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "comm/in_process.h"
#include "parallel/gradient_sum.h"
#include "support/fake_group.h"
#include "support/kernel_testing.h"

namespace borealis {
namespace {

constexpr int64_t kElements = 5000;  // the last rank owns less than the others
constexpr int64_t kBlock = 700;      // no part is a multiple of a rank's share of it
constexpr int64_t kRanks = 3;
constexpr int64_t kRowSize = 40;
constexpr int64_t kEnough = int64_t{8} << 20;  // bytes, of all buffers
constexpr RowGradientsShape kRows{
    .table_rows = 300, .row_size = kRowSize, .most_rows = 90, .slots_at_a_time = 32};

UnitCut cut_for(int64_t shards) {
  const int64_t part = (kElements + shards - 1) / shards / 16 * 16 + 16;
  return {.offset = 0, .elements = kElements, .part = shards == 1 ? kElements : part};
}

class OneRank {
 public:
  OneRank(Communicator& communicator, DType travels)
      : ranks(communicator),
        group(communicator.split(0), device),
        of_host_(kEnough, "sums"),
        of_device_(kEnough, "sums", device),
        host_sums(kRanks, kRows, travels, 0, of_host_),
        rows(kRows, of_host_, of_device_),
        host_rows(kRows, of_host_),
        buffers(kRanks, kRows, travels, kBlock, of_device_),
        exchange(ranks, group, buffers),
        memory(device, kElements * sizeof(float), "a unit") {}

  float* values() const { return reinterpret_cast<float*>(memory.bytes().data()); }
  void fill(const std::vector<float>& with) { upload(values(), with); }
  void upload(float* to, const std::vector<float>& with) {
    device.upload(to, with.data(), with.size() * sizeof(float));
  }
  std::vector<float> now() { return download(values(), kElements); }
  std::vector<float> download(const float* from, int64_t count) {
    std::vector<float> all(static_cast<size_t>(count));
    device.download(all.data(), from, all.size() * sizeof(float));
    return all;
  }

  Communicator& ranks;
  testing::FakeGpu device;
  testing::FakeGroup group;

 private:
  Arena of_host_, of_device_;

 public:
  SumBuffers host_sums;
  RowGradients rows, host_rows;
  GroupBuffers buffers;
  GroupExchange exchange;
  DeviceBuffer memory;
};

std::vector<float> values_of(int64_t rank) {
  return testing::random_values<float>(kElements, static_cast<unsigned>(100 + rank));
}

class GroupExchangeTest : public ::testing::TestWithParam<DType> {};

TEST_P(GroupExchangeTest, AddsUpWholeUnitsToTheHostsBits) {
  run_in_process(kRanks, [](Communicator& ranks) {
    OneRank own(ranks, GetParam());
    std::vector<float> expected = values_of(ranks.rank());
    own.fill(expected);
    own.exchange.queue_sum_on_all(own.values(), cut_for(1));
    EXPECT_EQ(own.group.times_followed(), 1);
    const std::vector<ExchangeSpan> spans = own.exchange.wait();
    sum_on_all(ranks, expected, own.host_sums);
    EXPECT_EQ(own.now(), expected);
    ASSERT_EQ(spans.size(), 1U);
    EXPECT_LE(spans[0].begin, spans[0].end);
    EXPECT_TRUE(own.exchange.wait().empty());
  });
}

TEST_P(GroupExchangeTest, AddsUpWhatARankOwnsAndLeavesTheRest) {
  run_in_process(kRanks, [](Communicator& ranks) {
    OneRank own(ranks, GetParam());
    const UnitCut cut = cut_for(kRanks);
    std::vector<float> expected = values_of(ranks.rank()), sums = expected;
    own.fill(expected);
    own.exchange.queue_sum_at_owners(own.values(), cut, own.values() + cut.begin(ranks.rank()),
                                     SumInto::kReplace);
    const std::vector<ExchangeSpan> spans = own.exchange.wait();
    sum_on_all(ranks, sums, own.host_sums);
    for (int64_t i = cut.begin(ranks.rank()); i < cut.end(ranks.rank()); ++i) {
      expected[static_cast<size_t>(i)] = sums[static_cast<size_t>(i)];
    }
    EXPECT_EQ(own.now(), expected);
    EXPECT_EQ(spans.at(0).received_bytes,
              2 * cut.size(ranks.rank()) * static_cast<int64_t>(dtype_bytes(GetParam())));
  });
}

TEST_P(GroupExchangeTest, AddsUpRowsOfWhichEachRankHasItsOwn) {
  run_in_process(kRanks, [](Communicator& ranks) {
    OneRank own(ranks, GetParam());
    std::vector<int32_t> ids;  // some of one rank, some of two, some of all
    for (int32_t id = 0; id < 28; ++id) ids.push_back((id * (4 + 3 * int32_t(ranks.rank()))) % 300);
    own.rows.slots(ids);
    own.host_rows.slots(ids);
    const auto values = testing::random_values<float>(own.rows.used_rows() * kRowSize,
                                                      static_cast<unsigned>(ranks.rank()));
    own.upload(own.rows.values(), values);
    std::ranges::copy(values, own.host_rows.values());
    own.exchange.queue_sum_of_rows(own.rows, own.host_sums);
    EXPECT_EQ(own.exchange.wait().at(0).what, Exchange::kEmbeddingRows);
    sum_row_gradients(ranks, own.host_rows, own.host_sums);
    ASSERT_EQ(own.rows.used_rows(), own.host_rows.used_rows());
    EXPECT_GT(own.rows.used_rows(), own.buffers.rows()) << "more than one block";
    const std::vector<float> all = own.download(own.rows.values(), own.rows.used_rows() * kRowSize);
    for (const int32_t id : own.host_rows.ids()) {
      ASSERT_TRUE(own.rows.has_row(id)) << id;
      const float* row = own.host_rows.row(id);
      const auto at = (own.rows.places()[static_cast<size_t>(id)] - 1) * kRowSize;
      EXPECT_TRUE(std::equal(row, row + kRowSize, all.begin() + at)) << id;
    }
  });
}

TEST_P(GroupExchangeTest, GathersWhatEachRankHas) {
  run_in_process(kRanks, [](Communicator& ranks) {
    OneRank own(ranks, GetParam());
    const UnitCut cut = cut_for(kRanks);
    const std::vector<float> whole = values_of(0);
    std::vector<float> mine(kElements, -1.0f);
    for (int64_t i = cut.begin(ranks.rank()); i < cut.end(ranks.rank()); ++i) {
      mine[static_cast<size_t>(i)] = whole[static_cast<size_t>(i)];
    }
    own.fill(mine);
    std::byte* const unit = own.memory.bytes().data();
    constexpr int64_t kWidth = sizeof(float);
    own.exchange.queue_gather(unit + cut.begin(ranks.rank()) * kWidth, unit, cut, kWidth);
    own.exchange.wait();
    EXPECT_EQ(own.now(), whole);
  });
}

TEST_P(GroupExchangeTest, GathersFromShardsThatLieElsewhere) {
  run_in_process(kRanks, [](Communicator& ranks) {
    OneRank own(ranks, GetParam());
    const UnitCut cut = cut_for(kRanks);
    const std::vector<float> whole = values_of(0);
    const std::vector<float> mine(whole.begin() + cut.begin(ranks.rank()),
                                  whole.begin() + cut.end(ranks.rank()));
    DeviceBuffer shard(own.device, mine.size() * sizeof(float), "a shard");
    own.upload(reinterpret_cast<float*>(shard.bytes().data()), mine);
    own.fill(std::vector<float>(kElements, -1.0f));
    const int64_t mark = own.exchange.queue_gather(shard.bytes().data(), own.memory.bytes().data(),
                                                   cut, sizeof(float));
    own.exchange.wait_for(mark);
    EXPECT_EQ(own.now(), whole);
    EXPECT_EQ(own.exchange.wait().at(0).received_bytes,
              (kElements - cut.size(ranks.rank())) * static_cast<int64_t>(sizeof(float)));
  });
}

INSTANTIATE_TEST_SUITE_P(Travels, GroupExchangeTest, ::testing::Values(DType::kF32, DType::kBF16),
                         [](const auto& param) { return std::string(dtype_name(param.param)); });

}  // namespace
}  // namespace borealis
