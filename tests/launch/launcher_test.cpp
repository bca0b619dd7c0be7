#include "launch/launcher.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <map>
#include <set>

#include "config/support.h"
#include "support/expect_error.h"

namespace borealis::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kOpenMpi = "mpirun (Open MPI) 4.1.4\n";
const std::string kHydra = "HYDRA build details:\n    Version: 4.0.2\n";
const std::string kPals = "mpiexec version 1.8.0 revision 43d5fd86\n";

LauncherQuestions machine(const std::map<std::string, std::string>& programs,
                          const std::set<std::string>& modules) {
  return {.version =
              [programs](const std::string& program) {
                const auto at = programs.find(program);
                return at == programs.end() ? std::string() : at->second;
              },
          .has_module = [modules](const std::string& module) { return modules.contains(module); }};
}

Launcher find(const Variables& variables, Scheduler scheduler, const LauncherQuestions& questions) {
  return find_launcher(environment_of(variables), scheduler, questions);
}

TEST(LauncherChoice, TakesTheOneThatBorealisWasBuiltFor) {
  const auto both = machine({{"mpiexec", kHydra}, {"mpirun", kOpenMpi}}, {"openmpi"});
  EXPECT_THAT(find({}, Scheduler::kNone, both).command, ElementsAre("mpirun"));
  EXPECT_EQ(find({}, Scheduler::kNone, both).family, LauncherFamily::kOpenMpi);
  const auto pals = machine({{"mpiexec", kPals}, {"mpirun", kOpenMpi}}, {"mpich", "openmpi"});
  EXPECT_EQ(find({}, Scheduler::kPbs, pals).family, LauncherFamily::kPals);
  EXPECT_EQ(find({{"MPIEXEC", " mpirun --mca btl tcp,self "}}, Scheduler::kPbs, pals).command,
            (std::vector<std::string>{"mpirun", "--mca", "btl", "tcp,self"}));
}

TEST(LauncherChoice, PassesOverOneThatNobodyKnows) {
  const std::string wrapper = "our site's mpiexec 2.0\n";
  const auto beside = machine({{"mpiexec", wrapper}, {"mpirun", kOpenMpi}}, {"openmpi"});
  EXPECT_THAT(find({}, Scheduler::kNone, beside).command, ElementsAre("mpirun"));
  EXPECT_ERROR(find({}, Scheduler::kNone, machine({{"mpiexec", wrapper}}, {"openmpi"})),
               ErrorKind::kRanks, "mpiexec is of no MPI library that is known", "MPIEXEC");
}

TEST(LauncherChoice, SlurmHasItsOwn) {
  const auto machine_of = [](const std::string& srun) {
    return machine({{"srun", srun}, {"mpirun", kOpenMpi}}, {"openmpi"});
  };
  EXPECT_THAT(find({}, Scheduler::kSlurm, machine_of("slurm 22.05.8")).command,
              ElementsAre("srun"));
  EXPECT_THAT(find({}, Scheduler::kSlurm, machine_of("")).command, ElementsAre("mpirun"));
  EXPECT_THAT(find({}, Scheduler::kNone, machine_of("slurm 22.05.8")).command,
              ElementsAre("mpirun"));
}

TEST(LauncherChoice, WhatIsMissingIsNamed) {
  EXPECT_ERROR(find({}, Scheduler::kNone, machine({}, {"openmpi"})), ErrorKind::kRanks,
               "no launcher", "MPIEXEC");
  EXPECT_ERROR(find({}, Scheduler::kNone, machine({{"mpiexec", kHydra}}, {"openmpi"})),
               ErrorKind::kRanks, "mpiexec starts ranks of mpich", "libmpich-dev");
  EXPECT_ERROR(find({{"MPIEXEC", "mpirun"}}, Scheduler::kNone, machine({{"mpirun", kOpenMpi}}, {})),
               ErrorKind::kRanks, "mpirun starts ranks of openmpi");
  EXPECT_ERROR(find({{"MPIEXEC", "none"}}, Scheduler::kNone, machine({}, {})), ErrorKind::kRanks,
               "none is not there");
  EXPECT_ERROR(find({{"MPIEXEC", "ls"}}, Scheduler::kNone, machine({{"ls", "ls (GNU)"}}, {})),
               ErrorKind::kRanks, "ls is of no MPI library that is known");
}

RankLayout two_hosts(int64_t ranks_per_host) {
  return {.hosts = {"a", "b"}, .ranks_per_host = ranks_per_host};
}

std::string line(LauncherFamily family, const RankLayout& layout, HostCores cores,
                 const Variables& variables = {}) {
  const std::vector<std::string> words = launch_command(
      {family, {"start"}}, layout, cores, environment_of(variables), {"SEQ"}, {"prog", "train"});
  std::string text = fmt::format("{}", fmt::join(words, " "));
  const std::string as_root = " --allow-run-as-root";
  if (const size_t at = text.find(as_root); at != std::string::npos) text.erase(at, as_root.size());
  return text;
}

// Every rank has its own share of the cores: 12 ranks on 104 cores have 8 each, as in the report.
TEST(LaunchCommand, BindsRanksToTheirShareOfTheCores) {
  const HostCores node{.physical = 104, .logical = 208};
  EXPECT_EQ(line(LauncherFamily::kOpenMpi, two_hosts(12), node),
            "start -n 24 --host a:12,b:12 --map-by ppr:12:node:PE=8 --bind-to core -x SEQ prog "
            "train");
  EXPECT_EQ(line(LauncherFamily::kHydra, two_hosts(12), node),
            "start -hosts a:12,b:12 -n 24 -ppn 12 -bind-to core:8 prog train");
  EXPECT_EQ(line(LauncherFamily::kPals, two_hosts(12), node),
            "start --envall --line-buffer --hosts a,b -n 24 --ppn 12 --depth 8 --cpu-bind depth "
            "prog train");
  EXPECT_EQ(line(LauncherFamily::kSlurm, two_hosts(12), node),
            "start --unbuffered --kill-on-bad-exit=1 --export=ALL --nodes=2 --ntasks=24 "
            "--ntasks-per-node=12 "
            "--cpus-per-task=17 --cpu-bind=cores prog train");
}

TEST(LaunchCommand, MoreRanksThanCoresAreNotBound) {
  const HostCores small{.physical = 2, .logical = 2};
  EXPECT_EQ(line(LauncherFamily::kOpenMpi, two_hosts(12), small),
            "start -n 24 --host a:12,b:12 --map-by ppr:12:node:OVERSUBSCRIBE --bind-to none -x SEQ "
            "prog train");
  EXPECT_THAT(line(LauncherFamily::kHydra, two_hosts(12), small), HasSubstr("-bind-to none"));
  EXPECT_THAT(line(LauncherFamily::kPals, two_hosts(12), small), HasSubstr("--cpu-bind none"));
  EXPECT_THAT(line(LauncherFamily::kSlurm, two_hosts(12), small),
              HasSubstr("--cpus-per-task=1 --cpu-bind=none --overcommit"));
}

TEST(LaunchCommand, AHostAloneIsNotNamed) {
  const RankLayout here{.hosts = {}, .ranks_per_host = 2};
  EXPECT_EQ(line(LauncherFamily::kOpenMpi, here, {2, 2}),
            "start -n 2 --map-by ppr:2:node:PE=1 --bind-to core prog train");
  EXPECT_EQ(line(LauncherFamily::kHydra, here, {2, 2}),
            "start -n 2 -ppn 2 -bind-to core:1 prog train");
  RankLayout named = here;
  named.hosts = {"localhost"};
  EXPECT_THAT(line(LauncherFamily::kHydra, named, {2, 2}), Not(HasSubstr("-hosts")));
}

TEST(LaunchCommand, TheUserBindsOtherwise) {
  const Variables binding = {{"CPU_BIND", "list:1-8:9-16"}};
  EXPECT_THAT(line(LauncherFamily::kPals, two_hosts(2), {104, 208}, binding),
              HasSubstr("--ppn 2 --cpu-bind list:1-8:9-16 prog"));
  EXPECT_THAT(line(LauncherFamily::kOpenMpi, two_hosts(2), {104, 208}, {{"CPU_BIND", "socket"}}),
              HasSubstr("--map-by ppr:2:node --bind-to socket"));
  EXPECT_THAT(line(LauncherFamily::kHydra, two_hosts(2), {104, 208}, {{"CPU_BIND", "numa"}}),
              HasSubstr("-bind-to numa"));
  EXPECT_THAT(line(LauncherFamily::kSlurm, two_hosts(2), {104, 208},
                   {{"CPU_BIND", "sockets"}, {"SLURM_CPUS_PER_TASK", "16"}}),
              HasSubstr("--cpus-per-task=16 --cpu-bind=sockets"));
}

// srun refuses a step that asks for more than the job has, and waits for ever for what the step
// that it is called in holds.
TEST(LaunchCommand, AsksSlurmForNoMoreThanTheJobHas) {
  EXPECT_THAT(line(LauncherFamily::kSlurm, two_hosts(2), {2, 2}, {{"SLURM_CPUS_PER_TASK", "2"}}),
              HasSubstr("--cpus-per-task=1 "));
  EXPECT_THAT(line(LauncherFamily::kSlurm, two_hosts(2), {4, 4}, {{"SLURM_STEP_ID", "0"}}),
              HasSubstr("--kill-on-bad-exit=1 --export=ALL --overlap --nodes=2"));
  const auto cores = [](const Variables& variables, Scheduler scheduler) {
    return cores_of_job(environment_of(variables), scheduler, {.physical = 8, .logical = 16})
        .logical;
  };
  const Variables job = {{"SLURM_JOB_CPUS_PER_NODE", "6(x2),4"}};
  EXPECT_EQ(cores(job, Scheduler::kSlurm), 4);
  EXPECT_EQ(cores(job, Scheduler::kNone), 16);
  EXPECT_EQ(cores({}, Scheduler::kSlurm), 16);
}

TEST(LaunchCommand, InAJobOfSlurmOtherLaunchersMakeDoWithItsTasks) {
  RankLayout here{.hosts = {"localhost"}, .ranks_per_host = 2, .scheduler = Scheduler::kSlurm};
  EXPECT_THAT(line(LauncherFamily::kOpenMpi, here, {2, 2}),
              HasSubstr("-n 2 --oversubscribe --map"));
  EXPECT_THAT(line(LauncherFamily::kHydra, here, {2, 2}), HasSubstr("start -launcher fork -n 2"));
}

TEST(LaunchCommand, SomeHostsOfAJob) {
  RankLayout chosen = two_hosts(2);
  chosen.hosts_chosen = true;
  EXPECT_THAT(line(LauncherFamily::kSlurm, chosen, {4, 4}), HasSubstr("--nodelist=a,b --nodes=2"));
}

}  // namespace
}  // namespace borealis::testing
