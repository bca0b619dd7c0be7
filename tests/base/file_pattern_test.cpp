#include "base/file_pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "support/temporary_folder.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;

TEST(MatchingFiles, AreSortedAndMayBeNamedLikePatterns) {
  const TemporaryFolder folder;
  const auto at = [&](const std::string& name) { return folder.path() / name; };
  for (const char* name : {"b.txt", "a10.txt", "a2.txt", "B.txt", "c.json", "d[1].txt", "d1.txt"}) {
    write_file_atomically(at(name), "");
  }
  EXPECT_THAT(matching_files(at("*.txt")), ElementsAre(at("B.txt"), at("a10.txt"), at("a2.txt"),
                                                       at("b.txt"), at("d1.txt"), at("d[1].txt")));
  EXPECT_THAT(matching_files(at("a?.txt")), ElementsAre(at("a2.txt")));
  EXPECT_THAT(matching_files(at("[ab].txt")), ElementsAre(at("b.txt")));
  EXPECT_THAT(matching_files(at("d[1].txt")), ElementsAre(at("d[1].txt")));
  EXPECT_THAT(matching_files("missing.txt"), ElementsAre("missing.txt"));
  try {
    matching_files(at("*.zst"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kFile);
    EXPECT_THAT(error.what(),
                ::testing::HasSubstr("no file matches the pattern '" + at("*.zst").string()));
  }
}

}  // namespace
}  // namespace borealis
