#include "telemetry/wandb_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/temporary_folder.h"
#include "support/wandb_chunks.h"
#include "telemetry/wandb_records.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

// Type and bytes of each.
std::vector<std::pair<int, size_t>> shape_of(const std::vector<WandbChunk>& chunks) {
  std::vector<std::pair<int, size_t>> shape;
  for (const WandbChunk& chunk : chunks) shape.emplace_back(chunk.type, chunk.part.size());
  return shape;
}

std::string noise(size_t bytes) {
  std::string text(bytes, '\0');
  uint32_t state = 1;
  for (char& byte : text) byte = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return text;
}

std::string written(const std::vector<std::string>& records) {
  const TemporaryFolder folder;
  WandbLog log(folder.path() / "run-x.wandb");
  for (const std::string& record : records) log.put(record);
  const std::string file = read_text_file(log.path());
  EXPECT_EQ(records_of(chunks_of(file)), records);
  return file;
}

TEST(WandbLog, HasTheKnownBytes) {
  const std::string record = numbered_record(1, wandb_header("0.1"));
  EXPECT_EQ(record,
            "\x08\x01\xaa\x01\x07\x0a\x05\x0a\x03"
            "0.1");
  const std::string file = written({record});
  EXPECT_EQ(file.substr(0, 7), std::string("\x3a\x57\x26\x42\xe1\xbe\x00", 7));
  EXPECT_EQ(file.substr(7, 7), std::string("\x4f\x24\xae\x64\x0c\x00\x01", 7));
  EXPECT_EQ(file.size(), 7 + 7 + record.size());
}

TEST(WandbLog, BlocksCountFromTheFrontOfTheFile) {
  // The header of the file and that of the chunk leave 32754 bytes.
  EXPECT_THAT(shape_of(chunks_of(written({noise(32754), "next"}))),
              ElementsAre(Pair(1, 32754), Pair(1, 4)));
  EXPECT_EQ(chunks_of(written({noise(32754), "next"}))[1].offset, kWandbBlock);
  EXPECT_THAT(shape_of(chunks_of(written({noise(32755)}))),
              ElementsAre(Pair(2, 32754), Pair(4, 1)));
}

TEST(WandbLog, WhatIsTooShortForAChunkIsZeros) {
  for (size_t left = 1; left < 7; ++left) {
    const auto chunks = chunks_of(written({noise(32754 - left), "next"}));
    EXPECT_EQ(chunks[1].offset, kWandbBlock) << left;
  }
  // Seven bytes are a chunk without content.
  EXPECT_THAT(shape_of(chunks_of(written({noise(32754 - 7), "next"}))),
              ElementsAre(Pair(1, 32747), Pair(2, 0), Pair(4, 4)));
}

TEST(WandbLog, TakesRecordsOfAnySize) {
  EXPECT_THAT(shape_of(chunks_of(written({"", "a", ""}))),
              ElementsAre(Pair(1, 0), Pair(1, 1), Pair(1, 0)));
  EXPECT_THAT(shape_of(chunks_of(written({noise(40000)}))),
              ElementsAre(Pair(2, 32754), Pair(4, 40000 - 32754)));
  EXPECT_THAT(shape_of(chunks_of(written({noise(100000), "b"}))),
              ElementsAre(Pair(2, 32754), Pair(3, 32761), Pair(3, 32761),
                          Pair(4, 100000 - 32754 - 2 * 32761), Pair(1, 1)));
  EXPECT_THAT(shape_of(chunks_of(written({noise(32754 + 32761)}))),
              ElementsAre(Pair(2, 32754), Pair(4, 32761)));
}

TEST(WandbLog, ManyRecordsCrossManyBlocks) {
  std::vector<std::string> records;
  for (size_t i = 0; i < 400; ++i) records.push_back(noise(i * 7 % 1500));
  written(records);
}

}  // namespace
}  // namespace borealis
