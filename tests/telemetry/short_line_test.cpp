#include "telemetry/short_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/not_a_number.h"

namespace borealis {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kResident = int64_t{3} << 29;  // 1.5 GiB

IterationLine line_at(int64_t iteration) {
  IterationLine line;
  line.steps = 1;
  line.last.iteration = iteration;
  line.last.lm_loss = 3.21438;
  line.last.grad_norm = 1.2034;
  line.last.learning_rate = 3e-4;
  line.last.next_learning_rate = 2e-4;
  line.last.elapsed_ms = 480.24;
  line.last.tokens_per_gpu_per_second = 8528.4;
  line.last.tflops = 1.2345;
  line.last.gemm_share = 0.714;
  return line;
}

TEST(ShortLine, AWideTerminalHasEveryColumn) {
  const ShortLines lines(100, 200);
  EXPECT_EQ(lines.header(),
            "iteration      loss  grad norm        lr  step time   tokens/s  TFLOPs  of GEMM     "
            "memory");
  EXPECT_EQ(lines.line(line_at(5), kResident),
            "    5/100    3.2144      1.203  3.00e-04   480.2 ms      8 528   1.234     71 %   "
            "1.50 GiB");
}

TEST(ShortLine, FitsTheTerminalAndIsAsLongAsItsHeader) {
  for (const int columns : {40, 60, 80, 100, 200}) {
    const ShortLines lines(1000, columns);
    const std::string line = lines.line(line_at(5), kResident);
    EXPECT_LT(line.size(), static_cast<size_t>(columns));
    EXPECT_EQ(line.size(), lines.header().size());
    EXPECT_THAT(line, HasSubstr("3.2144"));
    EXPECT_THAT(line, HasSubstr("8 528"));
  }
}

TEST(ShortLine, ANarrowTerminalLosesTheLeastOfAllFirst) {
  EXPECT_THAT(ShortLines(100, 80).header(), EndsWith("of GEMM"));
  EXPECT_THAT(ShortLines(100, 40).header(), EndsWith("tokens/s"));
  EXPECT_EQ(ShortLines(100, 1).header(), "iteration      loss   tokens/s");
}

TEST(ShortLine, AllLinesOfALongRunAreAligned) {
  const ShortLines lines(1'000'000, 200);
  EXPECT_EQ(lines.line(line_at(5), kResident).size(), lines.header().size());
  EXPECT_EQ(lines.line(line_at(1'000'000), kResident).size(), lines.header().size());
}

TEST(ShortLine, WhatIsNotKnownIsADash) {
  IterationLine line = line_at(5);
  line.last.grad_norm.reset();
  line.last.tokens_per_gpu_per_second = line.last.tflops = line.last.elapsed_ms = kNaN;
  line.last.gemm_share = 0;
  const std::string text = ShortLines(100, 200).line(line, 0);
  EXPECT_EQ(text,
            "    5/100    3.2144          -  3.00e-04          -          -       -        -      "
            "    -");
}

TEST(ShortLine, ASkippedIntervalHasNoLossAndABrokenOneSaysSo) {
  IterationLine line = line_at(5);
  line.last.lm_loss = kNaN;
  EXPECT_THAT(ShortLines(100, 200).line(line, kResident), HasSubstr("nan"));
  line.last.lm_loss = 0;
  line.skipped = 1;
  EXPECT_THAT(ShortLines(100, 200).line(line, kResident), HasSubstr(" skipped "));
  line.steps = 2;  // the other step made an update
  EXPECT_THAT(ShortLines(100, 200).line(line, kResident), Not(HasSubstr("skipped")));
}

TEST(ShortLine, LargeNumbersStayAligned) {
  IterationLine line = line_at(100);
  line.last.grad_norm = 1.5e9;
  line.last.elapsed_ms = 12'345;
  line.last.tflops = 321.4;
  line.last.tokens_per_gpu_per_second = 123'456;
  const ShortLines lines(100, 200);
  const std::string text = lines.line(line, kResident);
  EXPECT_EQ(text.size(), lines.header().size());
  EXPECT_THAT(text, HasSubstr("1.50e+09"));
  EXPECT_THAT(text, HasSubstr("12.35 s"));
  EXPECT_THAT(text, HasSubstr("123 456"));
}

}  // namespace
}  // namespace borealis
