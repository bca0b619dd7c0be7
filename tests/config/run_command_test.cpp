#include "config/run_command.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <map>

namespace borealis {
namespace {

Environment environment_of(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

std::string output_of_bash(const std::string& script) {
  FILE* pipe = ::popen(("exec bash -c " + shell_quoted(script)).c_str(), "r");
  if (pipe == nullptr) return "no shell";
  std::string output;
  std::array<char, 256> part{};
  for (size_t read = 0; (read = std::fread(part.data(), 1, part.size(), pipe)) > 0;) {
    output.append(part.data(), read);
  }
  ::pclose(pipe);
  return output;
}

TEST(ShellQuoted, LeavesPlainWordsAlone) {
  EXPECT_EQ(shell_quoted("--hidden-size=64"), "--hidden-size=64");
  EXPECT_EQ(shell_quoted(""), "''");
  EXPECT_EQ(shell_quoted("two words"), "'two words'");
  EXPECT_EQ(shell_quoted("it's"), R"('it'\''s')");
  EXPECT_EQ(shell_quoted("a\nb'\\"), R"($'a\012b\'\\')");
  EXPECT_EQ(shell_quoted("~"), "'~'");
}

TEST(ShellQuoted, AShellReadsBackWhatWasQuoted) {
  if (output_of_bash("echo yes") != "yes\n") GTEST_SKIP() << "there is no bash";
  for (const std::string text : {"$HOME", "`id`", "a\"b'c", "*", "\t\x1b[0m\\n", "!x", "θ; exit 3",
                                 "#no", "</script>", "-n", "{a,b}", "100%", "~root"}) {
    EXPECT_EQ(output_of_bash("printf '<%s>' " + shell_quoted(text)), "<" + text + ">");
  }
}

TEST(RunCommand, HoldsWhatTheUserSet) {
  const Environment environment = environment_of({{"HIDDEN", " 64 "},
                                                  {"NO_TENSORBOARD", ""},
                                                  {"DATA_PATH", "a prefix"},
                                                  {"OMP_PROC_BIND", "close"},
                                                  {"WANDB_API_KEY", "secret"},
                                                  {"PATH", "/bin"}});
  EXPECT_EQ(run_command(environment, {"--vocab-size", "128", "--data-path", "x", "it's", "--json"},
                        "/home/a b"),
            "cd '/home/a b' &&\n"
            "HIDDEN=64 \\\n"
            "DATA_PATH='a prefix' \\\n"
            "OMP_PROC_BIND=close \\\n"
            "borealis train \\\n"
            "  --vocab-size 128 \\\n"
            "  --data-path x 'it'\\''s' \\\n"
            "  --json\n");
  EXPECT_EQ(run_command(environment_of({}), {}, "/"), "cd / &&\nborealis train\n");
  EXPECT_EQ(run_command(environment_of({}), {}, "/", 3),
            "cd / &&\nWORLD_SIZE=3 \\\nborealis launch train\n");
  EXPECT_EQ(run_command(environment_of({{"NGPU_PER_HOST", "3"}}), {}, "/", 3),
            "cd / &&\nNGPU_PER_HOST=3 \\\nborealis launch train\n");
}

}  // namespace
}  // namespace borealis
