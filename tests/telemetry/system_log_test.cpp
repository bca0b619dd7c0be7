#include "telemetry/system_log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <string>
#include <thread>

#include "base/file.h"
#include "support/temporary_folder.h"

namespace borealis {
namespace {

TEST(SystemLog, WritesSamplesThatCanBeReadBack) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / kSystemFileName;
  append_text_file(path, "of a process before\n");
  {
    SystemLog log(folder.path());
    EXPECT_FALSE(std::filesystem::exists(path));
    log.begin();
    log.begin();
    for (int i = 0; i < 500 && !std::filesystem::exists(path); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  const std::string text = read_text_file(path);
  ASSERT_TRUE(text.ends_with('\n'));
  const auto sample = parse_system_sample(text.substr(0, text.find('\n')));
  ASSERT_TRUE(sample);
  EXPECT_GT(sample->time_s, 1.7e9);
  EXPECT_GT(sample->resident_bytes, 1 << 20);
  EXPECT_GT(sample->available_bytes, 1 << 20);
  EXPECT_GE(sample->cpu_percent, 0);
}

TEST(SystemLog, EndsAtOnceAndWithoutAFolder) {
  using Clock = std::chrono::steady_clock;
  Clock::duration shortest = Clock::duration::max();
  for (int i = 0; i < 3; ++i) {  // a machine may be busy for once
    const auto start = Clock::now();
    {
      SystemLog log("/does/not/exist");
      log.begin();
    }
    shortest = std::min(shortest, Clock::now() - start);
  }
  EXPECT_LT(shortest, std::chrono::milliseconds(900));
}

TEST(SystemLog, KeepsTheNewerHalfOfALongFile) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / kSystemFileName;
  std::string text;
  int lines = 0;
  for (; lines < SystemLog::kMostLines; ++lines) text += std::to_string(lines) + '\n';
  append_text_file(path, text);
  append_system_line(path, "last\n", lines);
  EXPECT_EQ(lines, SystemLog::kMostLines / 2 + 1);
  const std::string kept = read_text_file(path);
  EXPECT_TRUE(kept.starts_with(std::to_string(SystemLog::kMostLines / 2) + '\n'));
  EXPECT_TRUE(kept.ends_with("\nlast\n"));
}

TEST(SystemLog, ParsesWhatIsKnown) {
  const auto sample = parse_system_sample(
      R"({"time":12.5,"cpu":98.1,"proc.memory.rssMB":1.5,"cpu.powerWatts":62})");
  ASSERT_TRUE(sample);
  EXPECT_EQ(sample->resident_bytes, 3 << 19);
  EXPECT_EQ(sample->available_bytes, 0);
  EXPECT_DOUBLE_EQ(sample->power_watts, 62);
  const auto bare = parse_system_sample(R"({"time":1,"proc.memory.rssMB":"x"})");
  ASSERT_TRUE(bare);
  EXPECT_TRUE(std::isnan(bare->power_watts));
  EXPECT_EQ(bare->resident_bytes, 0);
  for (const char* line : {"", "{", "[]", "{\"cpu\": 1}", "7"}) {
    EXPECT_FALSE(parse_system_sample(line)) << line;
  }
}

}  // namespace
}  // namespace borealis
