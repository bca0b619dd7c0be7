#include "kernels/attention.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <vector>

#include "base/dtype.h"
#include "base/random.h"

namespace borealis {
namespace {

// Where each token's document starts, [B, T]; empty: every sequence is one document.
using Starts = std::vector<int32_t>;

int64_t start_of(const Starts& starts, const AttentionShape& s, int64_t b, int64_t t) {
  return starts.empty() ? 0 : starts[static_cast<size_t>(b * s.seq_length + t)];
}

// The textbook: full score matrix with a mask, in double, one row at a time.
struct Naive {
  AttentionShape s;
  std::vector<double> out, lse;

  double q(const std::vector<double>& qkv, int64_t b, int64_t t, int64_t h, int64_t c) const {
    return qkv[(b * s.seq_length + t) * s.row_stride() + h * s.head_dim + c];
  }

  Naive(const AttentionShape& shape, const std::vector<double>& qkv, const Starts& starts = {})
      : s(shape) {
    const int64_t T = s.seq_length, H = s.num_heads, K = s.num_key_value_heads, C = s.head_dim;
    out.assign(s.batch_size * T * H * C, 0);
    lse.assign(s.batch_size * H * T, 0);
    for (int64_t b = 0; b < s.batch_size; ++b) {
      for (int64_t h = 0; h < H; ++h) {
        const int64_t key = H + h / s.group_size(), value = key + K;
        for (int64_t t = 0; t < T; ++t) {
          std::vector<double> p(t + 1);
          double largest = -1e300, sum = 0;
          const int64_t first = start_of(starts, s, b, t);
          for (int64_t j = first; j <= t; ++j) {
            for (int64_t c = 0; c < C; ++c) p[j] += q(qkv, b, t, h, c) * q(qkv, b, j, key, c);
            p[j] /= std::sqrt(static_cast<double>(C));
            largest = std::max(largest, p[j]);
          }
          for (int64_t j = first; j <= t; ++j) sum += p[j] = std::exp(p[j] - largest);
          for (int64_t j = first; j <= t; ++j) {
            for (int64_t c = 0; c < C; ++c) {
              out[((b * T + t) * H + h) * C + c] += p[j] / sum * q(qkv, b, j, value, c);
            }
          }
          lse[(b * H + h) * T + t] = (largest + std::log(sum)) / std::log(2.0);
        }
      }
    }
  }
};

std::vector<double> random_values(int64_t n, uint64_t stream) {
  const RandomStream random(7, stream);
  std::vector<double> values(n);
  for (int64_t i = 0; i < n; ++i) values[i] = random.normal(i);
  return values;
}

template <typename T>
std::vector<T> as(const std::vector<double>& values) {
  std::vector<T> result;
  for (const double v : values) result.push_back(T(static_cast<float>(v)));
  return result;
}

template <typename T>
std::vector<double> as_double(const std::vector<T>& values) {
  std::vector<double> result;
  for (const T v : values) result.push_back(static_cast<double>(static_cast<float>(v)));
  return result;
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

template <typename T>
struct AttentionRun {
  std::vector<T> qkv, out, dout, dqkv;
  std::vector<float> lse;

  AttentionRun(const AttentionShape& s, int threads, const Starts& starts = {}) {
    const int64_t rows = s.batch_size * s.seq_length;
    qkv = as<T>(random_values(rows * s.row_stride(), 1));
    dout = as<T>(random_values(rows * s.num_heads * s.head_dim, 2));
    out.resize(dout.size());
    dqkv.resize(qkv.size());
    lse.resize(s.batch_size * s.num_heads * s.seq_length);
    run(s, threads, starts);
  }

  void run(const AttentionShape& s, int threads, const Starts& starts) {
    const int32_t* documents = starts.empty() ? nullptr : starts.data();
    std::vector<float> scratch(std::max(attention_forward_scratch_floats<T>(s, threads),
                                        attention_backward_scratch_floats<T>(s, threads)),
                               std::nanf(""));
    attention_forward(s, qkv.data(), out.data(), lse.data(), scratch.data(), threads, documents);
    scratch.assign(scratch.size(), std::nanf(""));
    attention_backward(s, qkv.data(), out.data(), dout.data(), lse.data(), dqkv.data(),
                       scratch.data(), threads, documents);
  }
};

// Odd head dims, sequence lengths that are no multiple of a tile, one kv head, as many as heads.
const AttentionShape kShapes[] = {{1, 1, 1, 1, 8},    {2, 7, 2, 1, 16},    {1, 95, 4, 2, 64},
                                  {1, 96, 3, 3, 32},  {2, 97, 4, 1, 30},   {1, 200, 6, 2, 80},
                                  {1, 289, 2, 1, 96}, {1, 130, 2, 2, 106}, {1, 193, 4, 4, 128}};

TEST(Attention, ForwardAgreesWithTheFullScoreMatrix) {
  for (const AttentionShape& s : kShapes) {
    const AttentionRun<float> run(s, 2);
    const Naive naive(s, as_double(run.qkv));
    // f32 sums of up to 289 products of order one
    EXPECT_LT(largest_difference(as_double(run.out), naive.out), 3e-6) << s.seq_length;
    EXPECT_LT(largest_difference(as_double(run.lse), naive.lse), 5e-6) << s.seq_length;
  }
}

// The textbook's gradients, in double, from what a run had to work with.
std::vector<double> naive_gradients(const AttentionShape& s, const std::vector<double>& qkv,
                                    const std::vector<double>& dout, const Starts& starts = {}) {
  const Naive forward(s, qkv, starts);
  const int64_t T = s.seq_length, H = s.num_heads, K = s.num_key_value_heads, C = s.head_dim;
  const double scale = 1 / std::sqrt(static_cast<double>(C));
  std::vector<double> dqkv(qkv.size());
  const auto at = [&](int64_t b, int64_t t, int64_t head) {
    return (b * T + t) * s.row_stride() + head * C;
  };
  for (int64_t b = 0; b < s.batch_size; ++b) {
    for (int64_t h = 0; h < H; ++h) {
      const int64_t key = H + h / s.group_size(), value = key + K;
      for (int64_t t = 0; t < T; ++t) {
        const int64_t row = ((b * T + t) * H + h) * C;
        double delta = 0;
        for (int64_t c = 0; c < C; ++c) delta += forward.out[row + c] * dout[row + c];
        for (int64_t j = start_of(starts, s, b, t); j <= t; ++j) {
          double score = 0, dp = 0;
          for (int64_t c = 0; c < C; ++c) {
            score += qkv[at(b, t, h) + c] * qkv[at(b, j, key) + c];
            dp += dout[row + c] * qkv[at(b, j, value) + c];
          }
          const double p =
              std::exp2(score * scale / std::log(2.0) - forward.lse[(b * H + h) * T + t]);
          const double ds = p * (dp - delta) * scale;
          for (int64_t c = 0; c < C; ++c) {
            dqkv[at(b, t, h) + c] += ds * qkv[at(b, j, key) + c];
            dqkv[at(b, j, key) + c] += ds * qkv[at(b, t, h) + c];
            dqkv[at(b, j, value) + c] += p * dout[row + c];
          }
        }
      }
    }
  }
  return dqkv;
}

double relative_error(const std::vector<double>& got, const std::vector<double>& expected) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    difference += (got[i] - expected[i]) * (got[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  return std::sqrt(difference / std::max(norm, 1e-30));
}

TEST(Attention, Bf16AgreesWithTheFullScoreMatrix) {
  for (const AttentionShape& s : kShapes) {
    const AttentionRun<bf16> run(s, 2);
    const auto qkv = as_double(run.qkv);
    const Naive naive(s, qkv);
    // Outputs below 4, whose bf16 half unit is 2^-8, from probabilities that may have been rounded
    // to 2^-8 of themselves.
    EXPECT_LT(largest_difference(as_double(run.out), naive.out), 0x1p-6) << s.seq_length;
    EXPECT_LT(largest_difference(as_double(run.lse), naive.lse), 2e-5) << s.seq_length;
    // One rounding to bf16 has a relative error of up to 2^-8, about 1.6e-3 in the mean; here are
    // up to three in a row (out, p and ds, the result), the last of a sequence of one key's
    // cancelling sum dp - delta.
    if (s.seq_length > 1) {
      EXPECT_LT(relative_error(as_double(run.dqkv), naive_gradients(s, qkv, as_double(run.dout))),
                4e-3)
          << "T=" << s.seq_length << " C=" << s.head_dim;
    }
  }
}

// Several blocks of every kind, on and off the diagonal, also where the sequence ends within one.
TEST(Attention, Bf16AgreesOnLongSequences) {
  for (const AttentionShape& s :
       {AttentionShape{1, 700, 2, 1, 64}, AttentionShape{2, 513, 2, 2, 48}}) {
    const AttentionRun<bf16> run(s, 2);
    const auto qkv = as_double(run.qkv);
    EXPECT_LT(relative_error(as_double(run.out), Naive(s, qkv).out), 4e-3);
    EXPECT_LT(relative_error(as_double(run.dqkv), naive_gradients(s, qkv, as_double(run.dout))),
              4e-3);
  }
}

// Sequences cut into documents of these lengths, the last one cut off or repeated to fill T; each
// sequence begins somewhere else in the list.
Starts documents_of(const AttentionShape& s, const std::vector<int64_t>& lengths) {
  Starts starts;
  for (int64_t b = 0; b < s.batch_size; ++b) {
    int64_t t = 0;
    for (auto document = static_cast<size_t>(b); t < s.seq_length; ++document) {
      const int64_t begin = t, end = t + lengths[document % lengths.size()];
      for (; t < std::min(end, s.seq_length); ++t) starts.push_back(static_cast<int32_t>(begin));
    }
  }
  return starts;
}

// So long that backward cuts a head's queries into parts: two, and three of which the last is
// short.
const AttentionShape kShapesOfParts[] = {{3, 1300, 2, 2, 8}, {1, 2200, 3, 1, 16}};

template <typename T>
void expect_parts_add_up(double tolerance) {
  for (const AttentionShape& s : kShapesOfParts) {
    const AttentionRun<T> run(s, 2);
    const auto qkv = as_double(run.qkv);
    EXPECT_LT(relative_error(as_double(run.dqkv), naive_gradients(s, qkv, as_double(run.dout))),
              tolerance)
        << s.seq_length;
    // Documents that begin in one part and end in the next, and some within one.
    const Starts starts = documents_of(s, {900, 77, 30, 500});
    const AttentionRun<T> packed(s, 3, starts);
    EXPECT_LT(relative_error(as_double(packed.dqkv),
                             naive_gradients(s, qkv, as_double(packed.dout), starts)),
              tolerance)
        << s.seq_length;
  }
}

TEST(Attention, PartsOfAHeadAddUp) { expect_parts_add_up<bf16>(5e-3); }
TEST(Attention, Fp32PartsOfAHeadAddUp) { expect_parts_add_up<float>(1e-5); }

// d/dx of sum(out * dout) along random directions, by central differences of the double reference.
TEST(Attention, BackwardAgreesWithFiniteDifferences) {
  for (const AttentionShape& s : kShapes) {
    const AttentionRun<float> run(s, 2);
    const auto qkv = as_double(run.qkv), dout = as_double(run.dout), dqkv = as_double(run.dqkv);
    for (uint64_t direction = 10; direction < 13; ++direction) {
      const auto step = random_values(static_cast<int64_t>(qkv.size()), direction);
      constexpr double kEps = 1e-5;
      double analytic = 0, norm = 0;
      std::vector<double> plus = qkv, minus = qkv;
      for (size_t i = 0; i < qkv.size(); ++i) {
        plus[i] += kEps * step[i];
        minus[i] -= kEps * step[i];
        analytic += step[i] * dqkv[i];
        norm += dqkv[i] * dqkv[i];
      }
      const Naive above(s, plus), below(s, minus);
      double numeric = 0;
      for (size_t i = 0; i < dout.size(); ++i) {
        numeric += dout[i] * (above.out[i] - below.out[i]) / (2 * kEps);
      }
      // relative to the length of the gradient, which is the scale of a random directional
      // derivative
      EXPECT_NEAR(numeric, analytic, 2e-5 * std::sqrt(norm) + 1e-6)
          << "T=" << s.seq_length << " C=" << s.head_dim << " direction " << direction;
    }
  }
}

// Every single gradient on a small case, so that an error in one element cannot hide in a sum.
TEST(Attention, EveryGradientOfASmallCaseAgreesWithFiniteDifferences) {
  const AttentionShape s{1, 9, 4, 2, 6};
  const AttentionRun<float> run(s, 1);
  const auto qkv = as_double(run.qkv), dout = as_double(run.dout);
  for (size_t i = 0; i < qkv.size(); ++i) {
    constexpr double kEps = 1e-5;
    auto plus = qkv, minus = qkv;
    plus[i] += kEps;
    minus[i] -= kEps;
    const Naive above(s, plus), below(s, minus);
    double numeric = 0;
    for (size_t j = 0; j < dout.size(); ++j) {
      numeric += dout[j] * (above.out[j] - below.out[j]) / (2 * kEps);
    }
    EXPECT_NEAR(numeric, static_cast<double>(run.dqkv[i]), 1e-5) << i;
  }
}

template <typename T>
void expect_same_bits_for_any_threads(const AttentionShape& s, const Starts& starts = {}) {
  const AttentionRun<T> one(s, 1, starts);
  for (const int threads : {2, 3, 7}) {
    const AttentionRun<T> many(s, threads, starts);
    EXPECT_EQ(as_double(one.out), as_double(many.out));
    EXPECT_EQ(one.lse, many.lse);
    EXPECT_EQ(as_double(one.dqkv), as_double(many.dqkv));
  }
}

// Rounds of what sanitizers make forty times slower.
#ifdef __SANITIZE_ADDRESS__
constexpr int kFewer = 4;
#else
constexpr int kFewer = 1;
#endif

// More groups than have sums at a time, over and over: a task that ends late must not be taken for
// one of the group that has its sums next. More threads than cores are, so that they are
// interrupted.
TEST(Attention, Fp32GroupsFollowEachOtherInTheirSums) {
  struct Case {
    AttentionShape shape;
    int threads, rounds;
  };
  for (const auto& [shape, threads, rounds] :
       {Case{{8, 100, 8, 8, 16}, 4, 100 / kFewer}, Case{{8, 100, 8, 4, 16}, 4, 100 / kFewer},
        Case{{8, 1200, 2, 1, 8}, 8, 8 / kFewer}, Case{{8, 3300, 2, 2, 8}, 16, 4 / kFewer}}) {
    const AttentionRun<float> one(shape, 1);
    AttentionRun<float> many(shape, threads);
    for (int round = 0; round < rounds; ++round) {
      ASSERT_EQ(one.dqkv, many.dqkv) << shape.seq_length << ", round " << round;
      many.run(shape, threads, {});
    }
  }
}

// A key of the first text that is no number shows in the queries that see it and in no others.
template <typename T>
void expect_wrong_key_shows(const AttentionShape& s, float wrong) {
  AttentionRun<T> run(s, 2);
  const int64_t bad = s.seq_length / 2;  // of every head
  for (int64_t head = s.num_heads; head < s.num_heads + s.num_key_value_heads; ++head) {
    run.qkv[bad * s.row_stride() + head * s.head_dim] = T(wrong);
  }
  run.run(s, 2, {});
  const int64_t width = s.num_heads * s.head_dim;
  for (int64_t t = 0; t < s.batch_size * s.seq_length; ++t) {
    const bool sees = t >= bad && t < s.seq_length;
    for (int64_t i = 0; i < width; ++i) {
      const auto value = static_cast<float>(run.out[t * width + i]);
      if (!sees) {
        ASSERT_TRUE(std::isfinite(value)) << t;
      } else if (std::isnan(wrong)) {
        ASSERT_TRUE(std::isnan(value)) << "row " << t << " of " << s.seq_length;
      }
    }
  }
}

// A weight that is no number must not become a loss that is one.
TEST(Attention, WhatIsNoNumberShowsWhereItIsSeen) {
  for (const AttentionShape& s : kShapes) {
    for (const float wrong : {std::nanf(""), HUGE_VALF}) {
      expect_wrong_key_shows<float>(s, wrong);
      expect_wrong_key_shows<bf16>(s, wrong);
    }
  }
}

template <typename T>
void expect_same_bits_of_shapes() {
  // more groups than can be under way at once, and one group shared by all threads
  for (const AttentionShape& s :
       {AttentionShape{3, 250, 6, 2, 40}, AttentionShape{1, 300, 5, 1, 32}, kShapesOfParts[0],
        kShapesOfParts[1]}) {
    expect_same_bits_for_any_threads<T>(s);
    Starts starts;  // documents of 77 tokens
    for (int64_t i = 0; i < s.batch_size * s.seq_length; ++i) {
      starts.push_back(static_cast<int32_t>(i % s.seq_length / 77 * 77));
    }
    expect_same_bits_for_any_threads<T>(s, starts);
  }
}

TEST(Attention, SameBitsForAnyNumberOfThreads) { expect_same_bits_of_shapes<bf16>(); }
TEST(Attention, Fp32SameBitsForAnyNumberOfThreads) { expect_same_bits_of_shapes<float>(); }

struct Packed {
  AttentionShape shape;
  std::vector<int64_t> lengths;
};

// Boundaries off every tile and on them (16, 64, 96, 128, 256), documents of one token, longer than
// half the sequence, many in a tile and over many tiles; one kv head and as many as heads.
const Packed kPacked[] = {
    {{1, 1, 1, 1, 8}, {1}},
    {{2, 9, 2, 1, 16}, {1, 3, 5}},
    {{1, 97, 4, 2, 30}, {1}},
    {{1, 200, 6, 2, 80}, {130, 1, 69}},
    {{2, 289, 2, 1, 96}, {7, 96, 1, 1, 64, 33, 128}},
    {{1, 193, 4, 4, 106}, {17, 5, 101}},
    {{2, 300, 3, 1, 32}, {16, 256, 64}},
    {{1, 700, 2, 1, 64}, {3, 400, 1, 1, 150}},
    {{1, 640, 2, 2, 24}, {128, 127, 129, 1, 63}},
    {{1, 521, 4, 1, 48}, {255, 257}},
};

TEST(Attention, DocumentsAgreeWithTheMaskedScoreMatrix) {
  for (const auto& [s, lengths] : kPacked) {
    const Starts starts = documents_of(s, lengths);
    const AttentionRun<float> run(s, 2, starts);
    const auto qkv = as_double(run.qkv);
    const Naive naive(s, qkv, starts);
    EXPECT_LT(largest_difference(as_double(run.out), naive.out), 3e-6) << s.seq_length;
    EXPECT_LT(largest_difference(as_double(run.lse), naive.lse), 1e-5) << s.seq_length;
    EXPECT_LT(largest_difference(as_double(run.dqkv),
                                 naive_gradients(s, qkv, as_double(run.dout), starts)),
              2e-5)
        << s.seq_length;
  }
}

TEST(Attention, Bf16DocumentsAgreeWithTheMaskedScoreMatrix) {
  for (const auto& [s, lengths] : kPacked) {
    const Starts starts = documents_of(s, lengths);
    const AttentionRun<bf16> run(s, 2, starts);
    const auto qkv = as_double(run.qkv);
    const Naive naive(s, qkv, starts);
    EXPECT_LT(largest_difference(as_double(run.out), naive.out), 0x1p-6) << s.seq_length;
    EXPECT_LT(largest_difference(as_double(run.lse), naive.lse), 2e-5) << s.seq_length;
    // Where every document is one token, query and key gradients are the rounding of dp - delta.
    if (lengths.size() > 1) {
      EXPECT_LT(
          relative_error(as_double(run.dqkv), naive_gradients(s, qkv, as_double(run.dout), starts)),
          5e-3)
          << s.seq_length;
    }
  }
}

TEST(Attention, DocumentGradientsAgreeWithFiniteDifferences) {
  const AttentionShape s{2, 11, 4, 2, 6};
  const Starts starts = documents_of(s, {4, 1, 3});
  const AttentionRun<float> run(s, 1, starts);
  const auto qkv = as_double(run.qkv), dout = as_double(run.dout);
  for (size_t i = 0; i < qkv.size(); ++i) {
    constexpr double kEps = 1e-5;
    auto plus = qkv, minus = qkv;
    plus[i] += kEps;
    minus[i] -= kEps;
    const Naive above(s, plus, starts), below(s, minus, starts);
    double numeric = 0;
    for (size_t j = 0; j < dout.size(); ++j) {
      numeric += dout[j] * (above.out[j] - below.out[j]) / (2 * kEps);
    }
    EXPECT_NEAR(numeric, static_cast<double>(run.dqkv[i]), 1e-5) << i;
  }
}

// What a document yields may not depend on the others, not even in the last bit.
template <typename T>
void expect_documents_apart() {
  const AttentionShape s{1, 500, 2, 1, 32};
  const Starts starts = documents_of(s, {133, 200, 167});
  const AttentionRun<T> before(s, 2, starts);
  AttentionRun<T> after = before;
  for (int64_t t = 0; t < s.seq_length; ++t) {
    if (starts[static_cast<size_t>(t)] == 133) continue;
    for (int64_t i = 0; i < s.row_stride(); ++i) {
      T& value = after.qkv[static_cast<size_t>(t * s.row_stride() + i)];
      value = T(-3.0f * static_cast<float>(value));
    }
  }
  after.run(s, 2, starts);
  const auto rows = [](const std::vector<T>& values, int64_t width) {
    return as_double(std::vector<T>(values.begin() + 133 * width, values.begin() + 333 * width));
  };
  EXPECT_EQ(rows(before.out, 64), rows(after.out, 64));
  EXPECT_EQ(rows(before.dqkv, s.row_stride()), rows(after.dqkv, s.row_stride()));
  EXPECT_NE(as_double(before.out), as_double(after.out));
}

TEST(Attention, DocumentsDoNotSeeEachOther) {
  expect_documents_apart<float>();
  expect_documents_apart<bf16>();
}

template <typename T>
void expect_one_document_is_free() {
  for (const AttentionShape& s : kShapes) {
    const AttentionRun<T> plain(s, 2);
    const AttentionRun<T> packed(s, 2, documents_of(s, {s.seq_length}));
    EXPECT_EQ(as_double(plain.out), as_double(packed.out));
    EXPECT_EQ(plain.lse, packed.lse);
    EXPECT_EQ(as_double(plain.dqkv), as_double(packed.dqkv));
  }
}

TEST(Attention, OneDocumentGivesTheBitsOfNone) {
  expect_one_document_is_free<float>();
  expect_one_document_is_free<bf16>();
}

}  // namespace
}  // namespace borealis
