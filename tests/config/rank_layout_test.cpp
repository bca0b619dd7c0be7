#include "config/rank_layout.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "config/support.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace borealis::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class RankLayoutTest : public ::testing::Test {
 protected:
  std::string file(const std::string& name, const std::string& text) {
    const std::filesystem::path path = folder_.path() / name;
    std::ofstream(path) << text;
    return path;
  }
  static RankLayout layout(const Variables& variables, int64_t by_default = 1) {
    return find_rank_layout(environment_of(variables), by_default);
  }

  TemporaryFolder folder_;
};

TEST_F(RankLayoutTest, IsThisMachineWhereNobodySaysOtherwise) {
  const RankLayout alone = layout({});
  EXPECT_THAT(alone.hosts, IsEmpty());
  EXPECT_EQ(alone.ranks(), 1);
  EXPECT_TRUE(is_local(alone));
  EXPECT_EQ(layout({}, 2).ranks(), 2) << "one a memory domain";
  EXPECT_EQ(layout({{"NGPU_PER_HOST", "12"}}, 2).ranks(), 12);
  EXPECT_EQ(layout({{"WORLD_SIZE", "3"}}, 2).ranks_per_host, 3);
}

TEST_F(RankLayoutTest, TheReportsLayout) {
  const std::string hosts = file("hosts", "x4102c0s0b0n0\nx4102c0s1b0n0\n");
  const RankLayout report = layout({{"PBS_NODEFILE", hosts}, {"NGPU_PER_HOST", "12"}});
  EXPECT_EQ(report.scheduler, Scheduler::kPbs);
  EXPECT_EQ(layout_text(report), "24 ranks on 2 hosts");
  EXPECT_THAT(report.hosts, ElementsAre("x4102c0s0b0n0", "x4102c0s1b0n0"));
  EXPECT_FALSE(is_local(report));
}

TEST_F(RankLayoutTest, RanksOfAHostByWhoeverSaysFirst) {
  const std::string twice = file("twice", "a\na\nb\nb\n"), slots = file("slots", "a:4\nb:4\n");
  EXPECT_EQ(layout({{"PBS_NODEFILE", twice}}).ranks_per_host, 2) << "mpiprocs=2";
  EXPECT_EQ(layout({{"HOSTFILE", slots}}).ranks(), 8);
  EXPECT_EQ(layout({{"HOSTFILE", slots}, {"NGPU_PER_HOST", "3"}}).ranks(), 6);
  EXPECT_EQ(layout({{"HOSTFILE", slots}, {"WORLD_SIZE", "6"}}).ranks_per_host, 3);
  EXPECT_THAT(layout({{"HOSTFILE", slots}, {"PBS_NODEFILE", twice}}).ranks_per_host, 4)
      << "the user's file before the scheduler's";
}

TEST_F(RankLayoutTest, AJobOfSlurm) {
  Variables job = {{"SLURM_JOB_NODELIST", "nid[07-08]"}, {"SLURM_TASKS_PER_NODE", "1(x2)"}};
  EXPECT_EQ(layout(job, 4).ranks(), 8) << "nobody asked for tasks";
  EXPECT_THAT(layout(job).hosts, ElementsAre("nid07", "nid08"));
  EXPECT_EQ(layout(job).scheduler, Scheduler::kSlurm);
  job["SLURM_TASKS_PER_NODE"] = "6(x2)";
  job["SLURM_NTASKS"] = "12";
  EXPECT_EQ(layout(job, 4).ranks(), 12);
  job["SLURM_NTASKS_PER_NODE"] = "3";
  EXPECT_EQ(layout(job, 4).ranks(), 6);
  job["NGPU_PER_HOST"] = "2";
  EXPECT_EQ(layout(job, 4).ranks(), 4);
}

TEST_F(RankLayoutTest, ContradictionsAreNamed) {
  const std::string uneven = file("uneven", "a:4\nb:2\n"), two = file("two", "a\nb\n");
  EXPECT_ERROR(layout({{"HOSTFILE", uneven}}), ErrorKind::kConfig, "2 to 4 ranks", "NGPU_PER_HOST");
  EXPECT_EQ(layout({{"HOSTFILE", uneven}, {"NGPU_PER_HOST", "2"}}).ranks(), 4);
  EXPECT_ERROR(layout({{"HOSTFILE", two}, {"WORLD_SIZE", "5"}}), ErrorKind::kConfig,
               "WORLD_SIZE=5, but 2 hosts", "2 ranks each make 4");
  EXPECT_ERROR(layout({{"HOSTFILE", two}, {"WORLD_SIZE", "1"}}), ErrorKind::kConfig, "make 2");
  EXPECT_ERROR(layout({{"WORLD_SIZE", "4"}, {"NGPU_PER_HOST", "2"}}), ErrorKind::kConfig,
               "1 host (this machine) with 2 ranks each make 2");
  for (const char* count : {"0", "-1", "x", "1.5", "99999999999999999999"}) {
    EXPECT_ERROR(layout({{"NGPU_PER_HOST", count}}), ErrorKind::kConfig, "NGPU_PER_HOST", count);
  }
  EXPECT_ERROR(layout({{"HOSTFILE", "/nonexistent"}}), ErrorKind::kFile, "/nonexistent");
}

}  // namespace
}  // namespace borealis::testing
