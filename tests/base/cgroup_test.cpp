#include "base/cgroup.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

namespace borealis {
namespace {

TEST(Cgroup, ReadsQuotas) {
  EXPECT_EQ(quota_of("200000 100000\n"), 2.0);
  EXPECT_EQ(quota_of("150000\n 100000\n"), 1.5);
  EXPECT_EQ(quota_of("max 100000\n"), std::nullopt);
  EXPECT_EQ(quota_of("-1\n 100000\n"), std::nullopt);
  EXPECT_EQ(quota_of(" "), std::nullopt);
  EXPECT_EQ(quota_of("0 100000"), std::nullopt);
}

TEST(Cgroup, EndsAtTheRoots) {
  std::vector<std::filesystem::path> folders;
  for_each_cgroup("memory", [&](const std::filesystem::path& folder, CgroupVersion version) {
    EXPECT_TRUE(folder.string().starts_with("/sys/fs/cgroup"));
    EXPECT_EQ(version == CgroupVersion::kV1, folder.string().starts_with("/sys/fs/cgroup/memory"));
    folders.push_back(folder);
  });
  if (!std::filesystem::exists("/proc/self/cgroup")) GTEST_SKIP() << "no control groups";
  ASSERT_FALSE(folders.empty());
  EXPECT_EQ(folders.back().lexically_normal().string().find("..", 0), std::string::npos);
}

}  // namespace
}  // namespace borealis
