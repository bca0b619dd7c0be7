// The child of a test is this test's own program, which runs the first test below.
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

constexpr const char* kTask = "CHILD_TASK";

// Unless it is a child, there is nothing to do.
TEST(Child, DoesWhatItWasAskedFor) {
  const Environment environment = process_environment();
  const std::string task = environment(kTask).value_or("");
  if (task == "exit with 7") ::_exit(7);
  if (task == "die") ::kill(::getpid(), SIGKILL);
  if (task == "ignore SIGTERM") std::signal(SIGTERM, SIG_IGN);
  if (!task.empty()) std::fprintf(stderr, "%s %d\n", task.c_str(), environment("HOME").has_value());
  if (task == "sleep" || task == "ignore SIGTERM") ::sleep(100);
}

class ChildProcessTest : public ::testing::Test {
 protected:
  ChildCommand command(const std::string& task) {
    return {.arguments = {"--gtest_filter=Child.*"},
            .environment = {{kTask, task}, {"HOME", std::nullopt}},
            .stderr_path = errors()};
  }
  std::filesystem::path errors() const { return folder_.path() / "stderr"; }

  TemporaryFolder folder_;
};

constexpr int kLongMs = 60'000;

TEST_F(ChildProcessTest, MayBeStartedByALauncher) {
  ChildCommand launched = command("exit with 7");
  launched.launcher = {"env", "UNUSED=1"};
  EXPECT_EQ(ChildProcess(launched).wait(kLongMs)->exit_code, 7);
  launched.launcher = {"there-is-no-such-launcher"};
  EXPECT_EQ(ChildProcess(launched).wait(kLongMs)->exit_code, 127);
}

TEST_F(ChildProcessTest, TellsHowItEnded) {
  ChildProcess exits(command("exit with 7"));
  const auto end = exits.wait(kLongMs);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->exit_code, 7);
  EXPECT_EQ(end->signal, 0);
  ChildProcess dies(command("die"));
  const auto death = dies.wait(kLongMs);
  ASSERT_TRUE(death);
  EXPECT_EQ(death->exit_code, 137);
  EXPECT_EQ(death->signal, SIGKILL);
}

TEST_F(ChildProcessTest, HasTheEnvironmentThatWasAskedFor) {
  ChildProcess child(command("hello"));
  ASSERT_TRUE(child.wait(kLongMs));
  EXPECT_EQ(read_text_file(errors()), "hello 0\n");
}

TEST_F(ChildProcessTest, IsStopped) {
  ChildProcess sleeps(command("sleep"));
  EXPECT_FALSE(sleeps.wait(100));
  sleeps.stop();
  EXPECT_EQ(sleeps.wait(0)->signal, SIGTERM);
  ChildProcess stubborn(command("ignore SIGTERM"));
  while (read_text_file(errors()).empty()) ASSERT_FALSE(stubborn.wait(10));
  stubborn.stop();
  EXPECT_EQ(stubborn.wait(0)->signal, SIGKILL);
}

TEST_F(ChildProcessTest, SaysWhereItsErrorsCannotGo) {
  ChildCommand asked = command("sleep");
  asked.stderr_path = folder_.path() / "none" / "stderr";
  EXPECT_ERROR(ChildProcess{asked}, ErrorKind::kFile, "none/stderr");
}

TEST(FailureLine, IsTheProgramsOwn) {
  EXPECT_EQ(failure_line("warning\nborealis: file: cannot\n  more\n"), "borealis: file: cannot");
  EXPECT_EQ(failure_line("terminate called\nlast words\n\n"), "last words");
  EXPECT_EQ(failure_line(""), "");
  const std::string cancelled = "slurmstepd: error: *** STEP 7.0 ON a CANCELLED AT 12:00 ***";
  EXPECT_EQ(failure_line(cancelled + "\nsrun: error: a: task 0: Exited with exit code 143\n"),
            cancelled);
  EXPECT_EQ(failure_line(cancelled + "\nborealis: ranks: lost\nsrun: error\n"),
            "borealis: ranks: lost");
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
