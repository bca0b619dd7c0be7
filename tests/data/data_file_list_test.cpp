#include "data/data_file_list.h"

#include <fstream>

#include "data/data_test_support.h"

namespace borealis {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class DataFileListTest : public ::testing::Test {
 protected:
  std::vector<DataFileEntry> read(const std::string& text) {
    write_file_atomically(list_, text);
    return read_data_file_list(list_);
  }

  TemporaryFolder folder_;
  std::filesystem::path list_ = folder_ / "mix.txt";
};

TEST_F(DataFileListTest, ReadsThreeFieldsALine) {
  const auto entries = read("0.5 /a/x books\n\n   \n1e-3\t/a/y   code \r\n2 /z web");
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].weight, 0.5);
  EXPECT_EQ(entries[0].prefix, "/a/x");
  EXPECT_EQ(entries[0].corpus, "books");
  EXPECT_EQ(entries[1].weight, 1e-3);
  EXPECT_EQ(entries[1].corpus, "code");
  EXPECT_EQ(entries[1].line, 4);
  EXPECT_EQ(entries[2].prefix, "/z");
}

TEST_F(DataFileListTest, KeepsThePrefixAsItIsSpelled) {
  const auto entries = read("+0.5 ../a/./x.bin books");
  EXPECT_EQ(entries[0].weight, 0.5);
  EXPECT_EQ(entries[0].listed_prefix, "../a/./x");
}

TEST_F(DataFileListTest, TakesNamesThatNoFileSystemHas) {
  const std::string name(5000, 'x');
  EXPECT_EQ(read("1 " + name + " books")[0].listed_prefix, name);
}

TEST_F(DataFileListTest, CutsAtTheFirstBin) {
  EXPECT_EQ(read("1 /a/x.bin books")[0].prefix, "/a/x");
  EXPECT_EQ(read("1 /a.bin/x.bin books")[0].prefix, "/a");
}

TEST_F(DataFileListTest, ResolvesRelativePathsBesideTheListFirst) {
  EXPECT_EQ(read("1 ../data/x books")[0].prefix,
            (folder_.path().parent_path() / "data/x").string());
  const std::filesystem::path before = std::filesystem::current_path();
  TemporaryFolder elsewhere;
  std::filesystem::current_path(elsewhere.path());
  write_dataset(elsewhere / "x", {3});
  EXPECT_EQ(read("1 x books")[0].prefix, "x");  // only the working folder has it
  write_dataset(folder_ / "x", {3});
  EXPECT_EQ(read("1 x books")[0].prefix, (folder_ / "x").string());
  std::filesystem::current_path(before);
}

TEST_F(DataFileListTest, NamesTheLineOfAnError) {
  EXPECT_ERROR_THAT(
      read("1 a b\n\n1 a\n"), ErrorKind::kConfig,
      AllOf(HasSubstr("mix.txt:3: 2 fields instead of 3"), HasSubstr("weight prefix corpus")));
  EXPECT_ERROR_THAT(read("1 a b c\n"), ErrorKind::kConfig, HasSubstr("mix.txt:1: 4 fields"));
  EXPECT_ERROR_THAT(read("a\n"), ErrorKind::kConfig, HasSubstr("1 field instead"));
  EXPECT_ERROR_THAT(read("half a b"), ErrorKind::kConfig,
                    HasSubstr("mix.txt:1: 'half' is not a weight"));
  EXPECT_ERROR_THAT(read("1x a b"), ErrorKind::kConfig, HasSubstr("'1x' is not a weight"));
  EXPECT_ERROR_THAT(read("nan a b"), ErrorKind::kConfig, HasSubstr("'nan' is not a weight"));
  EXPECT_ERROR_THAT(read("-1 a b"), ErrorKind::kConfig, HasSubstr("the weight -1 is negative"));
}

TEST_F(DataFileListTest, RefusesAListWithoutData) {
  EXPECT_ERROR_THAT(read("\n \n"), ErrorKind::kConfig, HasSubstr("names no file"));
  EXPECT_ERROR_THAT(read("0 a b\n0 c d"), ErrorKind::kConfig, HasSubstr("add up to 0"));
  EXPECT_ERROR_THAT(read_data_file_list(folder_ / "none.txt"), ErrorKind::kFile,
                    HasSubstr("none.txt"));
}

TEST_F(DataFileListTest, SkipsCommentsAndAByteOrderMark) {
  const auto entries = parse_data_file_list(
      "\xef\xbb\xbf# the mix of May\n1 a web\n  # 2 b books\n3 c #3\n", folder_ / "list");
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].listed_prefix, "a");
  EXPECT_EQ(entries[0].line, 2);
  EXPECT_EQ(entries[1].corpus, "#3");
  EXPECT_EQ(parse_data_file_list("\xef\xbb\xbf"
                                 "1 a web\n",
                                 folder_ / "list")[0]
                .weight,
            1);
}

TEST(DataPath, TakesAPrefixWithWhiteSpaceThatIsThere) {
  const TemporaryFolder folder;
  const std::string prefix = folder.path().string() + "/my data";
  EXPECT_ERROR_THAT(parse_data_path(prefix), ErrorKind::kConfig, HasSubstr("DATA_PATH"));
  std::ofstream(prefix + ".idx") << "";
  for (const std::string& words : {prefix, prefix + ".bin"}) {
    const auto entries = parse_data_path(words);
    ASSERT_EQ(entries.size(), 1u);
    EXPECT_EQ(entries[0].prefix, prefix);
  }
}

TEST(DataPath, IsAPrefixOrTriplesOrPairs) {
  const auto one = parse_data_path("data/x.bin");
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].listed_prefix, "data/x");
  EXPECT_EQ(one[0].corpus, "");
  const auto triples = parse_data_path("0.5 a web 1e1 b 7");
  ASSERT_EQ(triples.size(), 2u);
  EXPECT_EQ(triples[1].weight, 10);
  EXPECT_EQ(triples[1].listed_prefix, "b");
  EXPECT_EQ(triples[1].corpus, "7");
  const auto pairs = parse_data_path("0.5 a 1 b.bin 2 c");
  ASSERT_EQ(pairs.size(), 3u);
  EXPECT_EQ(pairs[1].listed_prefix, "b");
  EXPECT_EQ(pairs[1].corpus, "b");
  for (const char* words : {"a b", "1 a web 2", "x a web", "0 a 0 b", "-1 a 2 b"}) {
    EXPECT_ERROR_THAT(parse_data_path(words), ErrorKind::kConfig, HasSubstr("DATA_PATH"));
  }
}

}  // namespace
}  // namespace borealis
