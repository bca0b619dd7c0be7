#include "telemetry/step_profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace borealis {
namespace {

const std::vector<KernelInfo> kKernels = {{"product", "products", 1000, 100},
                                          {"norm", "other", 10, 200},
                                          {"never called", "other", 1, 1}};

// Steps 1 to 4 with the same two calls of "product" and one of "norm" each.
Profiler profiler_of_steps(const ProfiledSteps& steps) {
  Profiler profiler(kKernels, steps, 3);
  for (int64_t iteration = 1; iteration <= 4; ++iteration) {
    profiler.begin_step(iteration);
    for (const int kernel : {0, 1, 0}) const KernelScope scope(&profiler, kernel);
    profiler.end_step();
  }
  return profiler;
}

TEST(Profiler, RecordsTheStepsItIsAskedForAndNoOther) {
  const Profiler profiler = profiler_of_steps({2, 4});
  ASSERT_EQ(profiler.steps().size(), 2u);
  EXPECT_EQ(profiler.steps()[0].iteration, 2);
  EXPECT_EQ(profiler.steps()[1].iteration, 3);
  ASSERT_EQ(profiler.events().size(), 6u);
  int64_t end_ns = 0;
  for (const KernelEvent& event : profiler.events()) {
    EXPECT_GE(event.start_ns, end_ns) << "calls follow one another";
    end_ns = event.start_ns + event.duration_ns;
  }
  EXPECT_LE(end_ns, profiler.steps()[1].start_ns + profiler.steps()[1].duration_ns);
}

TEST(Profiler, ScopeWithoutProfilerDoesNothing) {
  const KernelScope scope(nullptr, 0);
  Profiler outside(kKernels, {5, 6}, 1);
  outside.begin_step(1);
  { const KernelScope not_recorded(&outside, 0); }
  outside.end_step();
  EXPECT_TRUE(outside.events().empty());
}

TEST(Profiler, TakesTheMemoryItSaysItTakes) {
  const ProfiledSteps steps{2, 5};
  const Profiler profiler(kKernels, steps, 7);
  EXPECT_EQ(Profiler::event_bytes(steps, 7),
            static_cast<int64_t>(profiler.events().capacity() * sizeof(KernelEvent) +
                                 profiler.steps().capacity() * sizeof(StepSpan)));
}

TEST(ProfilerDeathTest, MoreCallsThanRoomIsABug) {
  Profiler profiler(kKernels, {1, 2}, 1);
  profiler.begin_step(1);
  { const KernelScope first(&profiler, 0); }
  EXPECT_DEATH(const KernelScope second(&profiler, 0), "capacity");
}

TEST(StepProfile, SumsAreMeansOverTheSteps) {
  const Profiler profiler = profiler_of_steps({1, 4});
  const StepProfile profile = summarize_profile(profiler, 1e9, 1e8);
  EXPECT_EQ(profile.first_iteration, 1);
  EXPECT_EQ(profile.steps, 3);
  ASSERT_EQ(profile.kernels.size(), 2u) << "what was never called is left out";
  EXPECT_GE(profile.kernels[0].time_ms, profile.kernels[1].time_ms) << "the dearest first";
  for (const KernelTime& kernel : profile.kernels) {
    const bool product = kernel.name == "product";
    EXPECT_NEAR(kernel.calls, product ? 2 : 1, 1e-12);
    EXPECT_NEAR(kernel.flops, product ? 2000 : 10, 1e-9);
    EXPECT_NEAR(kernel.bytes, 200, 1e-9);
  }
  EXPECT_LE(profile.kernels_ms(), profile.step_ms);
}

// Of an exchange with other ranks each call has its own bytes, and its time is no part of a step's.
TEST(StepProfile, WhatGoesOnBesideKernelsIsNoneOfThem) {
  Profiler profiler({{"product", "products", 1000, 100}, {"sum", kBesideKernels}}, {1, 2}, 3);
  profiler.begin_step(1);
  const int64_t start = profiler.ns_at(Profiler::Clock::now());
  profiler.record(0, start, start + 2'000'000);
  profiler.record(1, start, start + 4'000'000, 3000);
  profiler.record(1, start, start + 4'000'000, 5000);
  profiler.end_step();
  const StepProfile profile = summarize_profile(profiler, 1e9, 1e8);
  EXPECT_NEAR(profile.kernels_ms(), 2, 1e-9);
  ASSERT_EQ(profile.kernels.size(), 2U);
  EXPECT_EQ(profile.kernels[0].name, "sum");
  EXPECT_EQ(profile.kernels[0].bytes, 8000);
  EXPECT_NEAR(profile.kernels[0].bytes_per_s(), 1e6, 1e-3);
  const TemporaryFolder folder;
  write_chrome_trace(folder.path(), profiler, 0);
  const auto trace = nlohmann::json::parse(read_text_file(folder.path() / kTraceFileName));
  int beside = 0;
  for (const auto& event : trace.at("traceEvents")) {
    if (event.at("ph") == "X" && event.at("tid") == 2) ++beside;
  }
  EXPECT_EQ(beside, 2);
}

TEST(StepProfile, IsReadAsItWasWritten) {
  const TemporaryFolder folder;
  const StepProfile written = summarize_profile(profiler_of_steps({1, 3}), 1e9, 1e8);
  write_step_profile(folder.path(), written);
  const std::optional<StepProfile> read = read_step_profile(folder.path());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->first_iteration, written.first_iteration);
  EXPECT_EQ(read->steps, written.steps);
  EXPECT_EQ(read->step_ms, written.step_ms);
  EXPECT_EQ(read->gemm_flops_per_s, 1e9);
  EXPECT_EQ(read->triad_bytes_per_s, 1e8);
  ASSERT_EQ(read->kernels.size(), written.kernels.size());
  for (size_t at = 0; at < read->kernels.size(); ++at) {
    EXPECT_EQ(read->kernels[at].name, written.kernels[at].name);
    EXPECT_EQ(read->kernels[at].group, written.kernels[at].group);
    EXPECT_EQ(read->kernels[at].time_ms, written.kernels[at].time_ms);
    EXPECT_EQ(read->kernels[at].flops, written.kernels[at].flops);
  }
}

TEST(StepProfile, NoneIsNoErrorABrokenOneIs) {
  const TemporaryFolder folder;
  EXPECT_FALSE(read_step_profile(folder.path()));
  write_file_atomically(folder.path() / kProfileFileName, "{\"steps\": 3}");
  EXPECT_ERROR(read_step_profile(folder.path()), ErrorKind::kData,
               "profile.json is not the profile of a run");
}

// What the Trace Event Format asks of complete events; both viewers drop others silently.
TEST(ChromeTrace, HoldsEveryCallAndStep) {
  const TemporaryFolder folder;
  const Profiler profiler = profiler_of_steps({2, 4});
  write_chrome_trace(folder.path(), profiler, 3);
  const auto trace = nlohmann::json::parse(read_text_file(folder.path() / kTraceFileName));
  int calls = 0, steps = 0, names = 0;
  for (const auto& event : trace.at("traceEvents")) {
    EXPECT_EQ(event.at("pid"), 3);
    if (event.at("ph") == "M") {
      ++names;
      continue;
    }
    EXPECT_EQ(event.at("ph"), "X");
    EXPECT_GE(event.at("ts").get<double>(), 0);
    EXPECT_GE(event.at("dur").get<double>(), 0);
    ++(event.at("cat") == "step" ? steps : calls);
  }
  EXPECT_EQ(calls, 6);
  EXPECT_EQ(steps, 2);
  EXPECT_EQ(names, 3);
}

}  // namespace
}  // namespace borealis
