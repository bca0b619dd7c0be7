#include "doctor/diagnosis.h"

#include <gmock/gmock.h>

namespace borealis {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<RankProbe> alike(int64_t count) {
  std::vector<RankProbe> probes;
  for (int64_t rank = 0; rank < count; ++rank) {
    probes.push_back({.rank = rank,
                      .host = rank < count / 2 ? "a" : "b",
                      .program = "0.1.0 (abc)",
                      .library = "Open MPI v4.1.4",
                      .isa = "AVX2",
                      .cpu_model = "EPYC",
                      .data = "10 documents",
                      .threads = 8,
                      .cores = 8,
                      .gemm_flops_per_s = 1e12,
                      .memory_bytes_per_s = 1e10});
  }
  return probes;
}

TEST(Diagnosis, FindsNothingWhereAllAreAlike) {
  const Diagnosis diagnosis = diagnose(alike(4));
  EXPECT_THAT(diagnosis.faults, IsEmpty());
  EXPECT_THAT(diagnosis.remarks, IsEmpty());
}

TEST(Diagnosis, NamesRanksThatDifferFromTheFirst) {
  std::vector<RankProbe> probes = alike(8);
  probes[3].program = probes[4].program = probes[6].program = "0.1.0 (def)";
  probes[2].isa = "SSE4";
  probes[5].gpu = "NVIDIA H100";
  probes[7].data = "11 documents";
  EXPECT_THAT(diagnose(probes).faults,
              ElementsAre("program of ranks 3-4, 6: 0.1.0 (def); of rank 0: 0.1.0 (abc)",
                          "instructions of rank 2: SSE4; of rank 0: AVX2",
                          "GPU of rank 5: NVIDIA H100; of rank 0: none",
                          "data of rank 7: 11 documents; of rank 0: 10 documents"));
}

// Of those that cannot read it nothing can be said but that.
TEST(Diagnosis, DataThatCannotBeRead) {
  std::vector<RankProbe> probes = alike(4);
  for (const size_t rank : {2, 3}) {
    probes[rank].data.clear();
    probes[rank].data_fault = "cannot open list.txt";
  }
  EXPECT_THAT(diagnose(probes).faults, ElementsAre("data of ranks 2-3: cannot open list.txt"));
}

TEST(Diagnosis, SlowRanksAreRemarked) {
  std::vector<RankProbe> probes = alike(6);
  probes[5].gemm_flops_per_s = 0.61e12;
  probes[1].gemm_flops_per_s = 0.85e12;
  probes[2].memory_bytes_per_s = 0.5e10;
  const Diagnosis diagnosis = diagnose(probes);
  EXPECT_THAT(diagnosis.faults, IsEmpty());
  EXPECT_THAT(
      diagnosis.remarks,
      ElementsAre("rank 5 on b is slow: its GEMM rate is 61 % of the ranks' median",
                  "rank 2 on a is slow: its memory bandwidth is 50 % of the ranks' median"));
}

TEST(Diagnosis, CrowdedCoresAreRemarked) {
  std::vector<RankProbe> probes = alike(4);
  for (const size_t rank : {2, 3}) {
    probes[rank].core_sharers = 2;
    probes[rank].threads = 8;
  }
  EXPECT_THAT(diagnose(probes).remarks,
              ElementsAre(HasSubstr("on b 16 threads of 2 ranks share 8 cores (ranks 2-3)")));
  for (const size_t rank : {2, 3}) probes[rank].threads = 4;
  EXPECT_THAT(diagnose(probes).remarks, IsEmpty()) << "a share each";
}

}  // namespace
}  // namespace borealis
