#include "kernels/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "kernels/reference/rope.h"
#include "support/kernel_testing.h"
#include "support/paths.h"

namespace borealis {
namespace {

using namespace borealis::testing;

constexpr double kTheta = 50000;
constexpr int64_t kHeads = 3, kStrideHeads = 5;  // two heads of each row are not to be touched

template <typename T>
class Rope : public ::testing::Test {};
using Types = ::testing::Types<float, bf16>;
TYPED_TEST_SUITE(Rope, Types);

// The first kHeads heads of each row, in double.
template <typename T>
std::vector<double> turned_heads(const std::vector<T>& qk, int64_t rows, int64_t head_dim) {
  std::vector<double> heads;
  for (int64_t r = 0; r < rows; ++r) {
    const auto begin = qk.begin() + r * kStrideHeads * head_dim;
    const auto wide = to_double(std::vector<T>(begin, begin + kHeads * head_dim));
    heads.insert(heads.end(), wide.begin(), wide.end());
  }
  return heads;
}

TYPED_TEST(Rope, AgreesWithTwinInBothDirections) {
  using T = TypeParam;
  for_each_target([] {
    for (const int64_t rows : {1, 3, 17}) {
      for (const int64_t head_dim : {2, 14, 64, 100, 106}) {
        for (const int direction : {1, -1}) {
          SCOPED_TRACE(std::to_string(rows) + " rows, head_dim " + std::to_string(head_dim));
          const auto table = make_rope_table(kTheta, nullptr, head_dim, 8, DType::kF32);
          const auto before = random_values<T>(rows * kStrideHeads * head_dim, 1);
          auto qk = before;
          const auto turn = direction == 1 ? rope_forward<T> : rope_backward<T>;
          turn(qk.data(), rows, kStrideHeads * head_dim, kHeads, head_dim, table, 0, nullptr);
          auto expected = turned_heads(before, rows, head_dim);
          reference::rope(expected.data(), rows, kHeads, head_dim,
                          reference::rope_frequencies(kTheta, head_dim), 8, 0, direction);
          auto compared = qk;
          compared.clear();
          for (int64_t r = 0; r < rows; ++r) {
            const auto begin = qk.begin() + r * kStrideHeads * head_dim;
            compared.insert(compared.end(), begin, begin + kHeads * head_dim);
            const auto rest = (kStrideHeads - kHeads) * head_dim;
            EXPECT_EQ(
                0, std::memcmp(&*(begin + kHeads * head_dim),
                               &before[static_cast<size_t>((r * kStrideHeads + kHeads) * head_dim)],
                               static_cast<size_t>(rest) * sizeof(T)));
          }
          expect_close(compared, expected, half_ulp<T>(), 5e-6);
        }
      }
    }
  });
}

TYPED_TEST(Rope, BlocksOfAnEpilogueGiveTheSameBits) {
  using T = TypeParam;
  for_each_target([] {
    constexpr int64_t kRows = 7, kDim = 14, kStride = kStrideHeads * kDim;
    const auto table = make_rope_table(kTheta, nullptr, kDim, 5, DType::kF32);
    const std::vector<int32_t> given = {0, 1, 2, 0, 1, 0, 4};
    for (const int32_t* positions : {static_cast<const int32_t*>(nullptr), given.data()}) {
      auto whole = random_values<T>(kRows * kStride, 1), blocks = whole;
      rope_forward(whole.data(), kRows, kStride, kHeads, kDim, table, 0, positions);
      for (const RopeBlock& block :
           {RopeBlock{0, 4, 0, 2}, RopeBlock{4, 3, 0, 2}, RopeBlock{0, 7, 2, 1}}) {
        rope_forward_block(blocks.data(), kStride, block, table, positions);
      }
      EXPECT_EQ(0, std::memcmp(blocks.data(), whole.data(), whole.size() * sizeof(T)));
    }
  });
}

TEST(RopeBackward, IsTheGradientOfForward) {
  for_each_target([] {
    constexpr int64_t kRows = 3, kDim = 6;
    const auto table = make_rope_table(kTheta, nullptr, kDim, 4, DType::kF32);
    const auto x = random_values<float>(kRows * kDim, 1);
    auto gradient = random_values<float>(kRows * kDim, 2);
    const auto dy = to_double(gradient);
    const auto frequencies = reference::rope_frequencies(kTheta, kDim);
    const auto expected = numerical_gradient(to_double(x), [&](std::vector<double> values) {
      reference::rope(values.data(), kRows, 1, kDim, frequencies, 4, 1, 1);
      return dot(values, dy);
    });
    rope_backward(gradient.data(), kRows, kDim, 1, kDim, table, 1);
    expect_close(gradient, expected, 1e-5, 2e-6);
  });
}

TEST(RopeForward, OffsetContinuesTheSequence) {
  constexpr int64_t kDim = 8, kLength = 6;
  const auto table = make_rope_table(kTheta, nullptr, kDim, kLength, DType::kBF16);
  auto whole = random_values<bf16>(kLength * kDim, 1);
  auto pieces = whole;
  rope_forward(whole.data(), kLength, kDim, 1, kDim, table);
  rope_forward(pieces.data(), 4, kDim, 1, kDim, table);
  for (int64_t p = 4; p < kLength; ++p) {
    rope_forward(pieces.data() + p * kDim, 1, kDim, 1, kDim, table, p);
  }
  EXPECT_TRUE(same_bits(pieces, whole));
}

TYPED_TEST(Rope, GivenPositionsRestartTheSequence) {
  using T = TypeParam;
  constexpr int64_t kDim = 12;
  const auto table = make_rope_table(kTheta, nullptr, kDim, 9, dtype_of<T>());
  const std::vector<int32_t> positions = {0, 1, 2, 0, 0, 1, 2, 3, 4, 3, 4, 0, 1, 0, 1, 2, 3, 8};
  const auto rows = static_cast<int64_t>(positions.size());
  for (const bool forward : {true, false}) {
    const auto turn = forward ? rope_forward<T> : rope_backward<T>;
    auto given = random_values<T>(rows * kDim, 1);
    auto single = given;
    turn(given.data(), rows, kDim, 1, kDim, table, 0, positions.data());
    for (int64_t row = 0; row < rows; ++row) {
      turn(single.data() + row * kDim, 1, kDim, 1, kDim, table, positions[static_cast<size_t>(row)],
           nullptr);
    }
    EXPECT_TRUE(same_bits(given, single));
  }
}

TEST(RopeForwardDeathTest, PositionsBeyondTheTableAreRefused) {
  const auto table = make_rope_table(kTheta, nullptr, 2, 4, DType::kF32);
  std::vector<float> qk(8);
  EXPECT_DEATH(rope_forward(qk.data(), 2, 2, 1, 2, table, 3), "seq_length");
}

TYPED_TEST(Rope, SameBitsForAnyThreadsAndAlignment) {
  using T = TypeParam;
  for_each_target([] {
    constexpr int64_t kRows = 120, kDim = 106;
    const auto table = make_rope_table(kTheta, nullptr, kDim, 60, dtype_of<T>());
    const auto before = random_values<T>(kRows * kStrideHeads * kDim, 1);
    std::vector<T> first;
    for_each_thread_count([&] {
      auto qk = before;
      rope_forward(qk.data(), kRows, kStrideHeads * kDim, kHeads, kDim, table);
      Misaligned<T> moved(before);
      rope_forward(moved.data(), kRows, kStrideHeads * kDim, kHeads, kDim, table);
      if (first.empty()) first = qk;
      EXPECT_TRUE(same_bits(qk, first));
      EXPECT_TRUE(same_bits(moved.values(), first));
    });
  });
}

// tests/kernels/make_goldens.py wrote these with Hugging Face transformers.
struct Golden {
  std::string name;
  double theta = 0;
  int64_t head_dim = 0;
  RopeScalingParameters scaling;
  std::vector<int64_t> positions;
  std::vector<double> cos, sin, cos_bf16, sin_bf16;
};

std::vector<double> read_hex_line(std::istream& in) {
  std::string line, word;
  std::getline(in, line);
  std::istringstream words(line);
  std::vector<double> values;
  while (words >> word) values.push_back(std::stod(word));
  return values;
}

std::vector<Golden> read_goldens() {
  std::ifstream in(BOREALIS_GOLDEN_DIR "/kernels/rope.txt");
  std::vector<Golden> goldens;
  std::string line;
  while (std::getline(in, line)) {
    std::istringstream words(line);
    Golden g;
    double context = 0;
    size_t count = 0;
    words >> g.name >> g.theta >> g.head_dim >> g.scaling.factor >> g.scaling.low_freq_factor >>
        g.scaling.high_freq_factor >> context >> count;
    g.scaling.original_max_position_embeddings = static_cast<int64_t>(context);
    g.positions.resize(count);
    for (int64_t& position : g.positions) words >> position;
    for (auto* values : {&g.cos, &g.sin, &g.cos_bf16, &g.sin_bf16}) *values = read_hex_line(in);
    goldens.push_back(g);
  }
  return goldens;
}

std::vector<float> rows_of(const std::vector<float>& table, const Golden& g) {
  std::vector<float> rows;
  for (const int64_t position : g.positions) {
    const auto begin = table.begin() + position * g.head_dim / 2;
    rows.insert(rows.end(), begin, begin + g.head_dim / 2);
  }
  return rows;
}

TEST(RopeTable, AgreesWithHuggingFace) {
  const auto goldens = read_goldens();
  ASSERT_EQ(goldens.size(), 3u);
  for (const Golden& g : goldens) {
    SCOPED_TRACE(g.name);
    const auto* scaling = g.scaling.factor > 0 ? &g.scaling : nullptr;
    const int64_t length = g.positions.back() + 1;
    const auto exact = make_rope_table(g.theta, scaling, g.head_dim, length, DType::kF32);
    // One ulp of a frequency is 6e-8 of the angle, up to 255 radians here.
    expect_close(rows_of(exact.cos, g), g.cos, 0, 3e-5);
    expect_close(rows_of(exact.sin, g), g.sin, 0, 3e-5);
    const auto rounded = make_rope_table(g.theta, scaling, g.head_dim, length, DType::kBF16);
    expect_close(rows_of(rounded.cos, g), g.cos_bf16, 0, 0x1p-8 + 1e-9);
    expect_close(rows_of(rounded.sin, g), g.sin_bf16, 0, 0x1p-8 + 1e-9);
    for (const float value : rounded.cos) ASSERT_EQ(value, static_cast<float>(bf16(value)));
  }
}

// Far out the rounding of the angle to f32, which models are trained with, is what cos and sin are
// made of: up to 4e-3 of the last position's angle.
TEST(RopeTable, HasTheAnglesOfHuggingFaceAtFarPositions) {
  constexpr int64_t kHalf = 16, kLength = 131072;
  for (const float theta : {10000.0f, 500000.0f}) {
    SCOPED_TRACE(theta);
    const auto table = make_rope_table(theta, nullptr, 2 * kHalf, kLength, DType::kF32);
    for (const int64_t position : {int64_t{8191}, kLength - 1}) {
      for (int64_t j = 0; j < kHalf; ++j) {
        const auto power =
            static_cast<float>(std::exp2(std::log2(static_cast<long double>(theta)) * j / kHalf));
        const float angle = static_cast<float>(position) * (1 / power);
        const auto at = static_cast<size_t>(position * kHalf + j);
        EXPECT_NEAR(table.cos[at], std::cos(static_cast<double>(angle)), 1e-7) << j;
        EXPECT_NEAR(table.sin[at], std::sin(static_cast<double>(angle)), 1e-7) << j;
      }
    }
  }
}

TEST(RopeTable, StretchesOnlyLongWavelengths) {
  const RopeScalingParameters scaling{.factor = 8.0};
  const auto plain = make_rope_table(500000, nullptr, 128, 2, DType::kF32);
  const auto scaled = make_rope_table(500000, &scaling, 128, 2, DType::kF32);
  const size_t half = 64;  // sin of position 1 is the frequency where that is small
  EXPECT_EQ(scaled.sin[half], plain.sin[half]);
  EXPECT_NEAR(scaled.sin[2 * half - 1] * 8 / plain.sin[2 * half - 1], 1.0, 1e-6);
  EXPECT_LT(scaled.sin[half + 33], plain.sin[half + 33]);  // wavelength 5430: blended
  EXPECT_GT(scaled.sin[half + 33], plain.sin[half + 33] / 8);
}

}  // namespace
}  // namespace borealis
