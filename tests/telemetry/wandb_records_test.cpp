#include "telemetry/wandb_records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/protobuf_fields.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// "number:value:bytes" of each field.
std::vector<std::string> fields(std::string_view message) {
  std::vector<std::string> found;
  EXPECT_TRUE(for_each_protobuf_field(message, [&](const ProtobufField& field) {
    found.push_back(std::to_string(field.number) + ":" + std::to_string(field.value) + ":" +
                    std::string(field.bytes));
  }));
  return found;
}

WandbTime at(double seconds) {
  return WandbTime(
      std::chrono::duration_cast<WandbTime::duration>(std::chrono::duration<double>(seconds)));
}

TEST(WandbRecords, EmptyMessagesAreWritten) {
  // Field 18 of length 4: two numbers that are 0.
  EXPECT_EQ(numbered_record(3, wandb_exit(0, 0)),
            std::string("\x08\x03\x92\x01\x04\x08\x00\x10\x00", 9));
  EXPECT_EQ(numbered_record(4, wandb_final()), std::string("\x08\x04\xa2\x01\x00", 5));
  EXPECT_EQ(numbered_record(5, wandb_footer()), std::string("\x08\x05\xb2\x01\x00", 5));
}

TEST(WandbRecords, ARunSaysWhatItIs) {
  const WandbRecord record = wandb_run({.id = "a1b2c3d4",
                                        .entity = "",
                                        .project = "proj",
                                        .group = "sweep",
                                        .display_name = "name",
                                        .notes = "",
                                        .tags = {"x", "y"},
                                        .host = "node7",
                                        .config = {{"LR", "0.5"}},
                                        .start_time = at(1755000000.25),
                                        .starting_step = 40,
                                        .resumed = true});
  EXPECT_EQ(record.field, 17u);
  const std::string config =
      "\x0a\x0a\x0a\x02LR\x82\x01\x03"
      "0.5";
  EXPECT_THAT(fields(record.content.encoded()),
              ElementsAre("1:0:a1b2c3d4", "3:0:proj", "4:0:" + config, "6:0:sweep", "8:0:name",
                          "10:0:x", "10:0:y", "13:0:node7",
                          "14:40:", "17:0:\x08\xc0\xd9\xec\xc4\x06\x10\x80\xe4\x9a\x77", "18:1:"));
}

// Without one wandb 0.27's uploader waits for ever.
TEST(WandbRecords, OnlyTheRunAsksForAnAnswer) {
  const std::string run = numbered_record(2, wandb_run({.id = "ab", .start_time = {}}));
  EXPECT_THAT(fields(run), ElementsAre("1:2:", HasSubstr("17:0:"), "16:0:\x22\x05runab"));
  EXPECT_EQ(fields(numbered_record(3, wandb_history(1, {}))).size(), 2u);
}

TEST(WandbRecords, RowsHaveItemsAndAStep) {
  const WandbRecord row = wandb_history(7, {{"lm loss", "2.5"}, {"_step", "7"}});
  EXPECT_EQ(row.field, 2u);
  EXPECT_THAT(fields(row.content.encoded()), ElementsAre("1:0:\x0a\x07lm loss\x82\x01\x03"
                                                         "2.5",
                                                         "1:0:\x0a\x05_step\x82\x01\x01"
                                                         "7",
                                                         "2:0:\x08\x07"));
  EXPECT_THAT(fields(wandb_summary({{"a", "1"}}).content.encoded()), ElementsAre("1:0:\x0a\x01"
                                                                                 "a\x82\x01\x01"
                                                                                 "1"));
}

TEST(WandbRecords, LinesAndSamplesHaveTheirTime) {
  const WandbRecord line = wandb_console(WandbStream::kStdout, at(1.5), "text \xff\n");
  EXPECT_EQ(line.field, 13u);
  EXPECT_THAT(fields(line.content.encoded()),
              ElementsAre("1:1:", "2:0:\x08\x01\x10\x80\xca\xb5\xee\x01", "3:0:text \uFFFD\n"));
  const WandbRecord stats = wandb_stats(at(0), {{"cpu", "50.0"}});
  EXPECT_EQ(stats.field, 7u);
  EXPECT_THAT(fields(stats.content.encoded()), ElementsAre(std::string("2:0:\x08\x00\x10\x00", 8),
                                                           "3:0:\x0a\x03"
                                                           "cpu\x82\x01\x04"
                                                           "50.0"));
}

}  // namespace
}  // namespace borealis
