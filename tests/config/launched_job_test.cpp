#include "config/launched_job.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "support/expect_error.h"

namespace borealis {
namespace {

std::optional<LaunchedJob> job_of(const std::map<std::string, std::string>& variables) {
  return launched_job([&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  });
}

void expect_job(const std::optional<LaunchedJob>& job, const std::string& library, int64_t rank,
                std::optional<int64_t> ranks) {
  ASSERT_TRUE(job);
  EXPECT_EQ(job->library, library);
  EXPECT_EQ(job->rank, rank);
  EXPECT_EQ(job->ranks, ranks);
}

TEST(LaunchedJob, IsWhatTheLaunchersVariablesSay) {
  expect_job(job_of({{"OMPI_COMM_WORLD_RANK", "3"}, {"OMPI_COMM_WORLD_SIZE", "24"}}), "openmpi", 3,
             24);
  expect_job(job_of({{"PMI_RANK", "0"}, {"PMI_SIZE", "2"}}), "mpich", 0, 2);
  expect_job(job_of({{"PALS_RANKID", "5"}}), "mpich", 5, std::nullopt);
  expect_job(job_of({{"PMIX_RANK", "1"}, {"SLURM_STEP_NUM_TASKS", "4"}}), "openmpi", 1, 4);
}

// mpirun in a job of Slurm hands Slurm's on to its ranks.
TEST(LaunchedJob, TheLauncherCountsBeforeTheScheduler) {
  expect_job(job_of({{"PMIX_RANK", "0"},
                     {"SLURM_STEP_NUM_TASKS", "1"},
                     {"OMPI_COMM_WORLD_RANK", "1"},
                     {"OMPI_COMM_WORLD_SIZE", "2"}}),
             "openmpi", 1, 2);
}

TEST(LaunchedJob, AloneThereIsNone) {
  EXPECT_FALSE(job_of({}));
  EXPECT_FALSE(job_of({{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "1"}}));
  EXPECT_FALSE(job_of({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}}));  // the script of a job
}

TEST(LaunchedJob, TasksOfSrunThatCannotFindEachOther) {
  EXPECT_ERROR(job_of({{"SLURM_PROCID", "1"}, {"SLURM_STEP_NUM_TASKS", "4"}}), ErrorKind::kConfig,
               "srun started 4 tasks", "SLURM_MPI_TYPE");
  EXPECT_FALSE(job_of({{"SLURM_PROCID", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}}));
}

TEST(LaunchedJob, WhatIsNoRankIsRefused) {
  EXPECT_ERROR(job_of({{"PMI_RANK", "x"}, {"PMI_SIZE", "2"}}), ErrorKind::kConfig, "PMI_RANK=x");
  EXPECT_ERROR(job_of({{"PMI_RANK", "-1"}, {"PMI_SIZE", "2"}}), ErrorKind::kConfig, "PMI_RANK=-1");
  EXPECT_ERROR(job_of({{"PMI_RANK", "2"}, {"PMI_SIZE", "2"}}), ErrorKind::kConfig, "no rank of");
}

}  // namespace
}  // namespace borealis
