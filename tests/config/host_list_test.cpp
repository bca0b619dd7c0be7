#include "config/host_list.h"

#include <gmock/gmock.h>

#include <fstream>

#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;

std::vector<ListedHost> hosts_of(const std::string& text) {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "hosts") << text;
  return read_host_file(folder.path() / "hosts");
}

auto host(const std::string& name, int64_t slots) {
  return ::testing::AllOf(::testing::Field(&ListedHost::name, name),
                          ::testing::Field(&ListedHost::slots, slots));
}

TEST(HostFile, IsReadAsEveryLauncherWritesIt) {
  EXPECT_THAT(hosts_of("a\nb\n"), ElementsAre(host("a", 0), host("b", 0)));
  EXPECT_THAT(hosts_of("# nodes\n\n a slots=4 max_slots=8 # two sockets\nb slots=4\r\n"),
              ElementsAre(host("a", 4), host("b", 4)));
  EXPECT_THAT(hosts_of("a:12\nb.site.org:12"), ElementsAre(host("a", 12), host("b.site.org", 12)));
  EXPECT_THAT(hosts_of("fe80::1 slots=2\n"), ElementsAre(host("fe80::1", 2)));
  EXPECT_THAT(hosts_of("me@a slots=2\n"), ElementsAre(host("me@a", 2)));
}

// PBS writes a line for every rank of select=2:mpiprocs=3, and one a host without mpiprocs.
TEST(HostFile, RepeatedNamesAreSlots) {
  EXPECT_THAT(hosts_of("b\nb\nb\na\na\na\n"), ElementsAre(host("b", 3), host("a", 3)));
  EXPECT_THAT(hosts_of("a slots=2\na slots=2\n"), ElementsAre(host("a", 4)));
}

TEST(HostFile, LinesThatAreNoHostsAreNamed) {
  EXPECT_ERROR(hosts_of("a\nb slots=x\n"), ErrorKind::kConfig, "hosts, line 2", "b slots=x");
  EXPECT_ERROR(hosts_of("a:0\n"), ErrorKind::kConfig, "line 1");
  EXPECT_ERROR(hosts_of("a:-3\n"), ErrorKind::kConfig, "line 1");
  EXPECT_ERROR(hosts_of("^a\n"), ErrorKind::kConfig, "line 1");
  EXPECT_ERROR(hosts_of("a,b\n"), ErrorKind::kConfig, "line 1");
  EXPECT_ERROR(hosts_of("host one\n"), ErrorKind::kConfig, "line 1");
  EXPECT_ERROR(hosts_of("# none\n\n"), ErrorKind::kConfig, "lists no host");
  EXPECT_ERROR(read_host_file("/nonexistent/hosts"), ErrorKind::kFile, "/nonexistent/hosts");
}

TEST(SlurmHosts, AreExpandedAsScontrolDoes) {
  EXPECT_THAT(expand_slurm_hosts("login1"), ElementsAre("login1"));
  EXPECT_THAT(expand_slurm_hosts("nid[008-010,3],other"),
              ElementsAre("nid008", "nid009", "nid010", "nid3", "other"));
  EXPECT_THAT(expand_slurm_hosts("rack[1-2]n[09-10]x"),
              ElementsAre("rack1n09x", "rack1n10x", "rack2n09x", "rack2n10x"));
}

TEST(SlurmHosts, WhatIsNoListIsRefused) {
  for (const char* list :
       {"", ",", "a,,b", "a[1-2", "a]", "a[]", "a[3-1]", "a[x]", "a[1-9999999999]", "a[1,]b[",
        "a[1-1000000]b[1-1000000]", "a[99999999999999999999]"}) {
    EXPECT_ERROR(expand_slurm_hosts(list), ErrorKind::kConfig, "no list of hosts");
  }
}

TEST(SlurmCounts, AreExpanded) {
  EXPECT_THAT(expand_slurm_counts("2(x3),1"), ElementsAre(2, 2, 2, 1));
  EXPECT_THAT(expand_slurm_counts("12"), ElementsAre(12));
  for (const char* counts : {"x", "2(x", "2(x3", "(x3)", "2(x99999999999)", "2(x-1)"}) {
    EXPECT_ERROR(expand_slurm_counts(counts), ErrorKind::kConfig, "no list of counts");
  }
}

}  // namespace
}  // namespace borealis
