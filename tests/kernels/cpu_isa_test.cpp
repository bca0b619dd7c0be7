#include "kernels/cpu_isa.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "base/error.h"
#include "kernels/elementwise.h"
#include "support/kernel_testing.h"

namespace borealis {
namespace {

using namespace borealis::testing;
using ::testing::AllOf;
using ::testing::HasSubstr;

// Caps last for the life of a process, so each is set in one of its own.
void print_description_and_exit(const char* cap) {
  limit_cpu_isa(cap);
  const std::vector<float> one(3, 1.0f);
  std::vector<float> two(3);
  add(one.data(), one.data(), two.data(), 3);
  std::fputs(cpu_isa_description().c_str(), stderr);
  std::fputs(native_bf16_products() ? " native" : " emulated", stderr);
  std::exit(two == std::vector<float>(3, 2.0f) ? 0 : 1);
}

class CpuIsa : public ::testing::Test {
 protected:
  void SetUp() override { ::testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

TEST_F(CpuIsa, Sse4CapLimitsBothLibraries) {
  if ((hwy::SupportedTargets() & HWY_SSE4) == 0) GTEST_SKIP() << "not an x86 machine";
  EXPECT_EXIT(print_description_and_exit("sse4"), ::testing::ExitedWithCode(0),
              "SSE4 kernels .Highway., oneDNN sse41, bf16 stored and f32 multiplied emulated");
}

TEST_F(CpuIsa, Avx2CapLimitsBothLibraries) {
  if ((hwy::SupportedTargets() & HWY_AVX2) == 0) GTEST_SKIP() << "this machine has no AVX2";
  EXPECT_EXIT(print_description_and_exit("avx2"), ::testing::ExitedWithCode(0),
              "AVX2 kernels .Highway., oneDNN avx2, bf16 stored and f32 multiplied emulated");
}

TEST_F(CpuIsa, Avx512CapLeavesOutBf16Products) {
  if ((hwy::SupportedTargets() & HWY_SSE4) == 0) GTEST_SKIP() << "not an x86 machine";
  EXPECT_EXIT(print_description_and_exit("avx512"), ::testing::ExitedWithCode(0),
              "bf16 stored and f32 multiplied emulated");
}

TEST_F(CpuIsa, Avx512Bf16CapLeavesOutAmx) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bf16") == 0) GTEST_SKIP() << "this CPU has no bf16 products";
#endif
  if ((hwy::SupportedTargets() & HWY_SSE4) == 0) GTEST_SKIP() << "not an x86 machine";
  EXPECT_EXIT(print_description_and_exit("avx512_bf16"), ::testing::ExitedWithCode(0),
              "oneDNN avx512_core_bf16, bf16 multiplied in hardware native");
}

TEST_F(CpuIsa, NativeCapsNothing) {
  const int64_t before = hwy::SupportedTargets();
  limit_cpu_isa("native");
  EXPECT_EQ(hwy::SupportedTargets(), before);
}

TEST_F(CpuIsa, UnknownCapIsAConfigError) {
  try {
    limit_cpu_isa("avx3");
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("'avx3'"), HasSubstr("avx512_bf16, avx512, avx2 or sse4")));
  }
}

TEST_F(CpuIsa, TestsReallyRunEveryTarget) {
  for_each_target([] {
    const std::string description = cpu_isa_description();
    const auto starts_with = [&](const char* text) { return description.rfind(text, 0) == 0; };
    const int64_t target = hwy::SupportedTargets();
    EXPECT_EQ(starts_with("AVX-512"), target == HWY_AVX3) << description;
    EXPECT_EQ(starts_with("AVX2"), target == HWY_AVX2) << description;
    EXPECT_EQ(starts_with("SSE4"), target == HWY_SSE4) << description;
    EXPECT_EQ(starts_with("NEON"), target == HWY_NEON) << description;
    EXPECT_EQ(starts_with("scalar"), target == HWY_SCALAR) << description;
  });
}

}  // namespace
}  // namespace borealis
