#include "base/lost_pages.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/file.h"
#include "support/temporary_folder.h"

namespace borealis {
namespace {

constexpr size_t kBytes = 3 << 12;

class LostPages : public ::testing::Test {
 protected:
  LostPages() { std::ofstream(path_) << std::string(kBytes, 'x'); }
  ~LostPages() override { std::signal(SIGBUS, SIG_DFL); }

  void cut() const { std::filesystem::resize_file(path_, 1 << 12); }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "tokens.bin";
};

std::byte read_at(const MappedFile& file, size_t place) {
  return *static_cast<const volatile std::byte*>(file.bytes().data() + place);
}

TEST_F(LostPages, EndAProcessWithALine) {
  EXPECT_EXIT(
      {
        tell_of_lost_pages();
        MappedFile moved(path_);
        const MappedFile file = std::move(moved);
        cut();
        (void)read_at(file, kBytes - 1);
      },
      ::testing::ExitedWithCode(3),
      "borealis: file: .*tokens.bin was cut short while it was read, or its disk or server failed; "
      "see that it is whole");
}

TEST_F(LostPages, AreZerosForWhoAsksAfterwards) {
  tell_of_lost_pages();
  const MappedFile file(path_), other(path_);
  {
    const MappedRead reading(file.bytes());
    EXPECT_EQ(read_at(file, kBytes - 1), std::byte{'x'});
    EXPECT_TRUE(reading.is_whole());
  }
  cut();
  {
    const MappedRead reading(file.bytes().subspan(100));
    EXPECT_EQ(read_at(file, 0), std::byte{'x'});
    EXPECT_TRUE(reading.is_whole());
    EXPECT_EQ(read_at(file, kBytes - 1), std::byte{0});
    EXPECT_FALSE(reading.is_whole());
    EXPECT_EQ(read_at(file, kBytes / 2), std::byte{0});
  }
  // It has zeros from now on.
  EXPECT_FALSE(MappedRead(file.bytes()).is_whole());
  EXPECT_TRUE(MappedRead(other.bytes()).is_whole());
  EXPECT_EXIT(
      {
        const MappedRead reading(file.bytes());
        (void)read_at(other, kBytes - 1);
      },
      ::testing::ExitedWithCode(3), "tokens.bin was cut short");
}

TEST_F(LostPages, WhatIsNoFileOfOursEndsAsBefore) {
  EXPECT_EXIT(
      {
        tell_of_lost_pages();
        { const MappedFile file(path_); }  // where it lay is nobody's now
        std::raise(SIGBUS);
      },
      ::testing::KilledBySignal(SIGBUS), "");
}

}  // namespace
}  // namespace borealis
