#include "base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace borealis {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

struct Logged {
  std::string console;
  std::string listener;
};

// What the standard output and a listener get of what `log` says.
Logged logged(LogStyle style, std::string_view level, void (*log)()) {
  Logged result;
  testing::internal::CaptureStdout();
  log_open(LogStream::kStdout, level, style);
  {
    const LogListener listener([&result](std::string_view line) { result.listener += line; });
    log();
  }
  result.console = testing::internal::GetCapturedStdout();
  log_open(LogStream::kStdout, "INFO");
  return result;
}

TEST(ShortLog, HasTheTextAndAWordForWhatIsWrong) {
  const Logged result = logged(LogStyle::kShort, "INFO", [] {
    log_info("saved");
    log_warning("odd");
    log_error("bad");
  });
  EXPECT_EQ(result.console, "saved\nwarning: odd\nerror: bad\n");
  EXPECT_THAT(result.listener, AllOf(StartsWith("["), HasSubstr("][W]["), HasSubstr("] odd\n")));
}

TEST(ShortLog, TheBriefWordingIsOfItsConsoleAlone) {
  const auto log = [] {
    log_info_or_brief("the whole", "brief");
    log_info_or_brief("timers", "");
    log_info_or_brief("", "header");
  };
  const Logged brief = logged(LogStyle::kShort, "INFO", log);
  EXPECT_EQ(brief.console, "brief\nheader\n");
  EXPECT_THAT(brief.listener, AllOf(HasSubstr("] the whole\n"), HasSubstr("] timers\n")));
  EXPECT_THAT(brief.listener, AllOf(Not(HasSubstr("brief")), Not(HasSubstr("header"))));
  const Logged reference = logged(LogStyle::kReference, "INFO", log);
  EXPECT_EQ(reference.console, reference.listener);
  EXPECT_EQ(reference.listener.size(), brief.listener.size());
}

TEST(ShortLog, KeepsTheLevelAndHidesControlCharacters) {
  const auto log = [] { log_info_or_brief("a\x1b[2J", "b\x1b[2J"); };
  EXPECT_EQ(logged(LogStyle::kShort, "INFO", log).console, "b\\x1b[2J\n");
  const Logged quiet = logged(LogStyle::kShort, "WARNING", log);
  EXPECT_EQ(quiet.console + quiet.listener, "");
}

}  // namespace
}  // namespace borealis
