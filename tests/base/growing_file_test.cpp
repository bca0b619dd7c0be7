#include "base/growing_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "base/file.h"
#include "support/temporary_folder.h"

namespace borealis {
namespace {

using Lines = std::vector<std::string>;

class GrowingFileTest : public ::testing::Test {
 protected:
  // What came, behind "again" where the file begins again.
  Lines read(GrowingFile& file, size_t most_bytes = 1 << 20) {
    Lines lines;
    if (file.begins_again()) lines.emplace_back("again");
    more_ = file.read([&](std::string_view line) { lines.emplace_back(line); }, most_bytes);
    return lines;
  }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "lines";
  bool more_ = false;
};

TEST_F(GrowingFileTest, ReadsWhatCameAndWaitsForTheRestOfALine) {
  GrowingFile file(path_);
  EXPECT_EQ(read(file), Lines{});  // not there yet
  append_text_file(path_, "one\ntwo\nthr");
  EXPECT_EQ(read(file), (Lines{"one", "two"}));
  EXPECT_EQ(read(file), Lines{});
  append_text_file(path_, "ee\n\nfour\n");
  EXPECT_EQ(read(file), (Lines{"three", "", "four"}));
  EXPECT_FALSE(more_);
}

TEST_F(GrowingFileTest, BeginsAgainWhereTheFileIsAnother) {
  GrowingFile file(path_);
  append_text_file(path_, "one\ntwo\nhalf");
  EXPECT_EQ(read(file), (Lines{"one", "two"}));
  write_file_atomically(path_, "three, which is longer than all there was\n");
  EXPECT_EQ(read(file), (Lines{"again", "three, which is longer than all there was"}));
  std::filesystem::resize_file(path_, 0);  // the same file, cut
  append_text_file(path_, "4\n");
  EXPECT_EQ(read(file), (Lines{"again", "4"}));
  std::filesystem::remove(path_);
  EXPECT_EQ(read(file), Lines{"again"});
  EXPECT_EQ(read(file), Lines{});
}

TEST_F(GrowingFileTest, KnowsAnotherFileByItsBeginningWhereItsNumberIsTheSame) {
  GrowingFile file(path_);
  append_text_file(path_, "one\ntwo\n");
  EXPECT_EQ(read(file), (Lines{"one", "two"}));
  std::filesystem::resize_file(path_, 0);
  append_text_file(path_, "three\nfour\nfive\n");
  EXPECT_EQ(read(file), (Lines{"again", "three", "four", "five"}));
}

TEST_F(GrowingFileTest, ReadsALongFileInParts) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += std::to_string(i) + '\n';
  append_text_file(path_, text);
  GrowingFile file(path_);
  Lines lines;
  int parts = 0;
  do {
    const Lines part = read(file, 1);
    lines.insert(lines.end(), part.begin(), part.end());
    ++parts;
  } while (more_);
  EXPECT_GT(parts, 2);
  ASSERT_EQ(lines.size(), 100'000U);
  EXPECT_EQ(lines.back(), "99999");
}

TEST_F(GrowingFileTest, DoesNotKeepALineWithoutEnd) {
  append_text_file(path_, std::string(3 * GrowingFile::kMostLineBytes, 'x') + "\nend\n");
  GrowingFile file(path_);
  const Lines lines = read(file, 16 << 20);
  ASSERT_GT(lines.size(), 2U);
  EXPECT_EQ(lines.back(), "end");
}

TEST_F(GrowingFileTest, TakesWhatIsNoFileForNothing) {
  GrowingFile folder(folder_.path());
  EXPECT_EQ(read(folder), Lines{});
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  GrowingFile pipe(path_);
  EXPECT_EQ(read(pipe), Lines{});  // and does not wait for a writer
}

}  // namespace
}  // namespace borealis
