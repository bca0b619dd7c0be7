#include "kernels/adamw.h"

#include <gtest/gtest.h>

#include <bit>
#include <fstream>
#include <sstream>

#include "kernels/reference/adamw.h"
#include "support/kernel_testing.h"
#include "support/paths.h"

namespace borealis {
namespace {

using namespace borealis::testing;

AdamWStep step_at(int t) {
  return {.learning_rate = 3e-3,
          .beta1 = 0.9,
          .beta2 = 0.95,
          .eps = 1e-5,
          .weight_decay = 0.1,
          .bias_correction1 = 1 - std::pow(0.9, t),
          .bias_correction2 = 1 - std::pow(0.95, t)};
}

struct State {
  explicit State(int64_t n)
      : weight(random_values<float>(n, 1)), m(static_cast<size_t>(n)), v(static_cast<size_t>(n)) {}
  std::vector<float> weight, m, v;
};

TEST(AdamW, AgreesWithTwin) {
  for_each_target([] {
    for (const int64_t n : {1, 7, 64, 100, 106, 20001}) {
      SCOPED_TRACE(std::to_string(n) + " parameters");
      State state(n);
      auto weight = to_double(state.weight), m = to_double(state.m), v = to_double(state.v);
      for (int t = 1; t <= 5; ++t) {
        const auto gradient = random_values<float>(n, static_cast<uint64_t>(10 + t), 0.1);
        auto step = step_at(t);
        step.gradient_scale = 0.37f;
        adamw_update(state.weight.data(), state.m.data(), state.v.data(), gradient.data(), n, step);
        reference::adamw_update(weight.data(), m.data(), v.data(), to_double(gradient).data(), n,
                                step);
      }
      expect_close(state.weight, weight, 1e-6, 1e-8);
      expect_close(state.m, m, 1e-6, 1e-8);
      expect_close(state.v, v, 2e-6, 1e-12);
    }
  });
}

// Weight and remainder go through the very updates of an f32 weight, and the weight is the bf16
// nearest to it.
TEST(AdamW, Bf16WeightAndRemainderAreTheMaster) {
  for_each_target([] {
    constexpr int64_t kCount = 20001;
    State whole(kCount), split(kCount);
    std::vector<bf16> weight(kCount);
    std::vector<uint16_t> remainder(kCount);
    for (size_t i = 0; i < weight.size(); ++i) {
      const SplitF32 start = SplitF32::of(whole.weight[i]);
      weight[i] = start.rounded;
      remainder[i] = start.remainder;
    }
    for (int t = 1; t <= 3; ++t) {
      const auto gradient = random_values<float>(kCount, static_cast<uint64_t>(t));
      adamw_update(weight.data(), remainder.data(), split.m.data(), split.v.data(), gradient.data(),
                   kCount, step_at(t));
      adamw_update(whole.weight.data(), whole.m.data(), whole.v.data(), gradient.data(), kCount,
                   step_at(t));
    }
    EXPECT_TRUE(same_bits(split.m, whole.m));
    for (size_t i = 0; i < weight.size(); ++i) {
      ASSERT_EQ((SplitF32{weight[i], remainder[i]}.whole()), whole.weight[i]) << i;
      if (remainder[i] != 0x8000) {  // not half-way between two
        ASSERT_EQ(weight[i].bits, bf16(whole.weight[i]).bits) << i;
      }
    }
  });
}

TEST(AdamW, Bf16WeightKeepsNaNAndInfinity) {
  for_each_target([] {
    for (const uint32_t bits : {0x7f800000u, 0xff800000u, 0x7fffffffu, 0xffffffffu, 0x7f800001u}) {
      const float start = std::bit_cast<float>(bits);
      bf16 weight(start);
      uint16_t remainder = 0;
      float m = 0, v = 0;
      const float gradient = std::isnan(start) ? start : 0;
      adamw_update(&weight, &remainder, &m, &v, &gradient, 1, step_at(1));
      const auto after = static_cast<float>(weight);
      EXPECT_EQ(std::isnan(after), std::isnan(start));
      if (std::isinf(start)) {
        EXPECT_EQ(after, start);
      }
    }
  });
}

std::vector<float> read_line(std::istream& in) {
  std::string line, word;
  std::getline(in, line);
  std::istringstream words(line);
  std::vector<float> values;
  while (words >> word) values.push_back(std::stof(word));
  return values;
}

// The largest |a - b| in ulp of the largest term that went into the element: a sum of terms that
// cancel has as many wrong bits as they have, with or without fused multiply-adds.
double worst_ulp(const std::vector<float>& a, const std::vector<float>& b,
                 const std::vector<float>& term1, const std::vector<float>& term2) {
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const float largest = std::max({std::abs(b[i]), std::abs(term1[i]), std::abs(term2[i])});
    const double ulp = std::nextafter(largest, INFINITY) - largest;
    worst = std::max(worst, std::abs(static_cast<double>(a[i]) - b[i]) / ulp);
  }
  return worst;
}

// tests/kernels/make_goldens.py wrote the golden with torch.optim.AdamW.
TEST(AdamW, FollowsPyTorchWithinAFewUlp) {
  for_each_target([] {
    std::ifstream in(BOREALIS_GOLDEN_DIR "/kernels/adamw.txt");
    const auto settings = read_line(in);
    ASSERT_EQ(settings.size(), 7u);
    State state(static_cast<int64_t>(settings[0]));
    state.weight = read_line(in);
    std::vector<float> old_m(state.weight.size()), old_v(old_m);
    for (int t = 1; t <= static_cast<int>(settings[1]); ++t) {
      const auto gradient = read_line(in), weight = read_line(in), m = read_line(in),
                 v = read_line(in);
      adamw_update(state.weight.data(), state.m.data(), state.v.data(), gradient.data(),
                   static_cast<int64_t>(weight.size()), step_at(t));
      std::vector<float> new_m(gradient), new_v(gradient);
      for (float& value : new_m) value *= 0.1f;
      for (float& value : new_v) value *= value * 0.05f;
      EXPECT_LE(worst_ulp(state.weight, weight, weight, weight), 2) << "step " << t;
      EXPECT_LE(worst_ulp(state.m, m, old_m, new_m), 4) << "step " << t;
      EXPECT_LE(worst_ulp(state.v, v, old_v, new_v), 4) << "step " << t;
      old_m = m;
      old_v = v;
    }
  });
}

TEST(AdamW, DecaysEvenWithoutGradient) {
  std::vector<float> weight(9, 2.0f), m(9), v(9);
  const std::vector<float> gradient(9);
  adamw_update(weight.data(), m.data(), v.data(), gradient.data(), 9, step_at(1));
  for (const float value : weight) EXPECT_FLOAT_EQ(value, 2.0f * (1 - 3e-3f * 0.1f));
}

TEST(AdamW, DecayAloneHasTheBitsOfAnUpdateByZeros) {
  for_each_target([] {
    for (const int64_t n : {1, 7, 100, 20001}) {
      State state(n);
      const std::vector<float> zeros(state.weight.size());
      std::vector<float> decayed = state.weight;
      std::vector<bf16> weight(zeros.size()), decayed_weight;
      std::vector<uint16_t> remainder(zeros.size()), decayed_remainder;
      for (size_t i = 0; i < zeros.size(); ++i) {
        const SplitF32 start = SplitF32::of(state.weight[i]);
        weight[i] = start.rounded;
        remainder[i] = start.remainder;
      }
      decayed_weight = weight;
      decayed_remainder = remainder;
      for (int t = 1; t <= 3; ++t) {
        adamw_update(weight.data(), remainder.data(), state.m.data(), state.v.data(), zeros.data(),
                     n, step_at(t));
        adamw_update(state.weight.data(), state.m.data(), state.v.data(), zeros.data(), n,
                     step_at(t));
        adamw_decay(decayed.data(), n, step_at(t));
        adamw_decay(decayed_weight.data(), decayed_remainder.data(), decayed_remainder.data(), n,
                    step_at(t));
      }
      EXPECT_TRUE(same_bits(decayed, state.weight));
      EXPECT_TRUE(same_bits(decayed_weight, weight));
      EXPECT_EQ(decayed_remainder, remainder);
    }
  });
}

// From one place to another and back, where the places begin on a cache line, as streaming stores
// want it, and where they do not.
TEST(AdamW, MovedHasTheBitsOfAnUpdateInPlaceAndLeavesTheOldState) {
  struct Values {
    std::vector<float> m, v;
    std::vector<uint16_t> remainder;
  };
  struct Place {
    Arena memory;
    AdamWState state;

    Place(int64_t n, int64_t shift) : memory((n + shift) * 10 + 3 * 64, "state") {
      const int64_t all = n + shift;
      state =
          AdamWState{memory.take<uint16_t>(all), memory.take<float>(all), memory.take<float>(all)}
              .at(shift);
    }
    Values values(int64_t n) const {
      return {
          {state.m, state.m + n}, {state.v, state.v + n}, {state.remainder, state.remainder + n}};
    }
  };
  const auto expect_same = [](const Values& a, const Values& b) {
    EXPECT_TRUE(same_bits(a.m, b.m));
    EXPECT_TRUE(same_bits(a.v, b.v));
    EXPECT_EQ(a.remainder, b.remainder);
  };
  for_each_target([&] {
    for (const int64_t n : {1, 16, 100, 20001}) {
      for (const int64_t shift : {0, 3}) {
        State whole(n);  // with weights of f32
        std::vector<float> moved_whole = whole.weight;
        std::vector<bf16> weight(whole.weight.size());
        for (size_t i = 0; i < weight.size(); ++i) weight[i] = bf16(whole.weight[i]);
        std::vector<bf16> moved_weight = weight;
        const Place in_place(n, shift);
        Place first(n, shift), second(n, shift), whole_first(n, shift), whole_second(n, shift);
        for (int t = 1; t <= 3; ++t) {
          const auto gradient = random_values<float>(n, static_cast<uint64_t>(t));
          const Values before = first.values(n);
          const AdamWState& here = in_place.state;
          adamw_update(weight.data(), here.remainder, here.m, here.v, gradient.data(), n,
                       step_at(t));
          adamw_move(moved_weight.data(), first.state, second.state, gradient.data(), n,
                     step_at(t));
          EXPECT_TRUE(same_bits(moved_weight, weight));
          expect_same(second.values(n), in_place.values(n));
          expect_same(first.values(n), before);
          std::swap(first, second);

          adamw_update(whole.weight.data(), whole.m.data(), whole.v.data(), gradient.data(), n,
                       step_at(t));
          adamw_move(moved_whole.data(), whole_first.state, whole_second.state, gradient.data(), n,
                     step_at(t));
          EXPECT_TRUE(same_bits(moved_whole, whole.weight));
          EXPECT_TRUE(same_bits(whole_second.values(n).m, whole.m));
          EXPECT_TRUE(same_bits(whole_second.values(n).v, whole.v));
          std::swap(whole_first, whole_second);
        }
      }
    }
  });
}

TEST(AdamW, SameBitsForAnyThreads) {
  for_each_target([] {
    constexpr int64_t kCount = 50021;
    const auto gradient = random_values<float>(kCount, 5);
    std::vector<float> first;
    for_each_thread_count([&] {
      State state(kCount);
      for (int t = 1; t <= 2; ++t) {
        adamw_update(state.weight.data(), state.m.data(), state.v.data(), gradient.data(), kCount,
                     step_at(t));
      }
      if (first.empty()) first = state.weight;
      EXPECT_TRUE(same_bits(state.weight, first));
    });
    // Shifted by one element, everything lands elsewhere in its vector.
    State state(kCount);
    Misaligned<float> weight(state.weight), m(state.m), v(state.v), g(gradient);
    for (int t = 1; t <= 2; ++t) {
      adamw_update(weight.data(), m.data(), v.data(), g.data(), kCount, step_at(t));
    }
    EXPECT_TRUE(same_bits(weight.values(), first));
  });
}

}  // namespace
}  // namespace borealis
