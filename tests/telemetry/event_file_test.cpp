#include "telemetry/event_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <vector>

#include "support/temporary_folder.h"

namespace borealis {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::StartsWith;

// Bytes as two digits each.
std::string hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const char byte : bytes) {
    text += kDigits[static_cast<uint8_t>(byte) >> 4];
    text += kDigits[static_cast<uint8_t>(byte) & 15];
  }
  return text;
}

// Made by another writer of the format.
TEST(EventFile, HasTheKnownBytes) {
  EXPECT_EQ(hex(frame_event(version_event(1755000000.0))),
            "1800000000000000a37f4b22090000003"
            "0cb26da411a0d627261696e2e4576656e743a329536a56c");
  const std::vector<EventScalar> loss = {{"loss", 2.5}};
  EXPECT_EQ(hex(frame_event(scalar_event(1755000001.5, 7, loss))),
            "1a00000000000000129bd82d090000603"
            "0cb26da4110072a0d0a0b0a046c6f73731500002040"
            "5b45d81e");
}

TEST(EventFile, SaysWhereAReaderForgets) {
  EXPECT_EQ(hex(start_event(0, 0)), "09000000000000000010003a020801");
}

TEST(EventFile, IsNamedToBeReadInOrder) {
  const TemporaryFolder folder;
  const std::filesystem::path events = folder.path() / "a/tensorboard";
  const EventFile first(events, 1755000000, "host/1");
  EXPECT_EQ(first.path().filename(),
            "events.out.tfevents.1755000000.host_1." + std::to_string(::getpid()) + ".0");
  EXPECT_EQ(read_text_file(first.path()), frame_event(version_event(1755000000)));
  const EventFile same_second(events, 1755000000, "host");
  EXPECT_THAT(same_second.path().filename().string(),
              StartsWith("events.out.tfevents.1755000001.host."));
  const EventFile clock_set_back(events, 1700000000, "host");
  EXPECT_THAT(clock_set_back.path().filename().string(),
              StartsWith("events.out.tfevents.1755000002."));
}

TEST(EventFile, AppendsWhatIsWritten) {
  const TemporaryFolder folder;
  EventFile file(folder.path() / "tb", 1755000000, "host");
  const std::string event = text_event(1755000000, 3, "configuration/text_summary", "LR = 1");
  file.write(event);
  file.flush();
  EXPECT_EQ(read_text_file(file.path()),
            frame_event(version_event(1755000000)) + frame_event(event));
}

}  // namespace
}  // namespace borealis
