// The child of a test is this test's own program, which runs one of the disabled tests below.
#include "sweep/child_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "base/file.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"
#include "sweep/point_command.h"
#include "sweep/sweep_runner.h"

namespace borealis {
namespace {

using ::testing::HasSubstr;

TEST(Child, DISABLED_ExitsWithSeven) { ::_exit(7); }
TEST(Child, DISABLED_DiesBySigkill) { ::kill(::getpid(), SIGKILL); }
TEST(Child, DISABLED_Complains) {
  const Environment environment = process_environment();
  std::fprintf(stderr, "%s %d\n", environment("CHILD_SAYS").value_or("unset").c_str(),
               environment("HOME").has_value());
  std::fflush(stderr);
  ::_exit(0);
}
TEST(Child, DISABLED_Sleeps) { ::sleep(100); }
TEST(Child, DISABLED_IgnoresSigterm) {
  std::signal(SIGTERM, SIG_IGN);
  std::fprintf(stderr, "ready\n");
  ::sleep(100);
}

class ChildProcessTest : public ::testing::Test {
 protected:
  ChildCommand command(const std::string& test) {
    return {
        .arguments = {"--gtest_filter=Child.DISABLED_" + test, "--gtest_also_run_disabled_tests"},
        .environment = {},
        .stderr_path = errors()};
  }
  std::filesystem::path errors() const { return folder_.path() / "stderr"; }

  TemporaryFolder folder_;
};

constexpr int kLongMs = 60'000;

TEST_F(ChildProcessTest, TellsHowItEnded) {
  ChildProcess exits(command("ExitsWithSeven"));
  const auto end = exits.wait(kLongMs);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->exit_code, 7);
  EXPECT_EQ(end->signal, 0);
  ChildProcess dies(command("DiesBySigkill"));
  const auto death = dies.wait(kLongMs);
  ASSERT_TRUE(death);
  EXPECT_EQ(death->exit_code, 137);
  EXPECT_EQ(death->signal, SIGKILL);
}

TEST_F(ChildProcessTest, HasTheEnvironmentThatWasAskedFor) {
  ChildCommand asked = command("Complains");
  asked.environment = {{"CHILD_SAYS", "hello"}, {"HOME", std::nullopt}};
  ChildProcess child(asked);
  ASSERT_TRUE(child.wait(kLongMs));
  EXPECT_EQ(read_text_file(errors()), "hello 0\n");
}

TEST_F(ChildProcessTest, IsStopped) {
  ChildProcess sleeps(command("Sleeps"));
  EXPECT_FALSE(sleeps.wait(100));
  sleeps.stop();
  EXPECT_EQ(sleeps.wait(0)->signal, SIGTERM);
  ChildProcess stubborn(command("IgnoresSigterm"));
  while (read_text_file(errors()).empty()) ASSERT_FALSE(stubborn.wait(10));
  stubborn.stop();
  EXPECT_EQ(stubborn.wait(0)->signal, SIGKILL);
}

TEST_F(ChildProcessTest, SaysWhereItsErrorsCannotGo) {
  ChildCommand asked = command("Sleeps");
  asked.stderr_path = folder_.path() / "none" / "stderr";
  EXPECT_ERROR(ChildProcess{asked}, ErrorKind::kFile, "none/stderr");
}

TEST(FailureLine, IsTheProgramsOwn) {
  EXPECT_EQ(failure_line("warning\nborealis: file: cannot\n  more\n"), "borealis: file: cannot");
  EXPECT_EQ(failure_line("terminate called\nlast words\n\n"), "last words");
  EXPECT_EQ(failure_line(""), "");
}

TEST(PointCommand, HidesOtherNamesOfAVariable) {
  const Environment outside = [](const std::string& name) -> std::optional<std::string> {
    if (name == "NUM_LAYERS" || name == "LOAD" || name == "SEQ") return "8";
    return std::nullopt;
  };
  const auto changes = point_environment({{"NLAYERS", "4"}}, outside, "DIR/index-cache");
  const Environment inside = with_changes(outside, changes);
  EXPECT_EQ(inside("NLAYERS"), "4");
  EXPECT_EQ(inside("NUM_LAYERS"), std::nullopt);
  EXPECT_EQ(inside("LOAD"), std::nullopt);
  EXPECT_EQ(inside("SEQ"), "8");
  EXPECT_EQ(inside("DATA_CACHE_PATH"), "DIR/index-cache");
}

TEST(PointCommand, RefusesFlagsThatWouldBeatTheGrid) {
  Problems problems;
  check_flags({"--num-layers", "4", "--train-iters=5", "--nonsense", "--lr", "1"},
              {{"", {{"NUM_LAYERS", {"2"}}}}}, problems);
  ASSERT_EQ(problems.settings.size(), 2);
  EXPECT_THAT(problems.settings[0], HasSubstr("--num-layers would set NLAYERS for all points"));
  EXPECT_THAT(problems.settings[1], HasSubstr("--train-iters is not for a sweep"));
}

}  // namespace
}  // namespace borealis
