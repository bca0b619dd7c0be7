#include "config/log_format.h"

#include <gtest/gtest.h>

#include <map>

#include "base/error.h"

namespace borealis {
namespace {

bool is_short(const std::map<std::string, std::string>& variables,
              const std::vector<std::string>& arguments, bool on_terminal) {
  const Environment environment = [&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
  return wants_short_log(environment, arguments, on_terminal);
}

TEST(LogFormat, IsShortOnATerminalAlone) {
  EXPECT_TRUE(is_short({}, {}, true));
  EXPECT_FALSE(is_short({}, {}, false));
}

TEST(LogFormat, WhoSetsTheTimersWantsToSeeThem) {
  EXPECT_FALSE(is_short({{"TIMING_LOG_LEVEL", "1"}}, {}, true));
  EXPECT_FALSE(is_short({}, {"--timing-log-level", "2"}, true));
  EXPECT_TRUE(is_short({{"TIMING_LOG_LEVEL", ""}}, {}, true));
  EXPECT_TRUE(is_short({{"TIMING_LOG_LEVEL", "1"}}, {"--log-format", "short"}, true));
}

TEST(LogFormat, IsWhatWasAskedFor) {
  EXPECT_TRUE(is_short({{"LOG_FORMAT", "short"}}, {}, false));
  EXPECT_FALSE(is_short({{"LOG_FORMAT", "reference"}}, {}, true));
  EXPECT_FALSE(is_short({{"LOG_FORMAT", "short"}}, {"--log-format", "reference"}, true));
  EXPECT_TRUE(is_short({{"LOG_FORMAT", "reference"}}, {"--log-format", "auto"}, true));
}

TEST(LogFormat, AnUnknownOneIsRefused) {
  EXPECT_THROW(is_short({}, {"--log-format", "long"}, true), Error);
}

}  // namespace
}  // namespace borealis
