#include "sweep/grid.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "support/expect_error.h"
#include "sweep/grid_file.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

std::vector<std::string> values(std::string_view text) {
  Problems problems;
  const auto expanded = expand_values(text, "--nlayers", problems);
  EXPECT_FALSE(problems.any()) << text;
  return expanded;
}

// The one problem of a text that is refused.
std::string problem_of(std::string_view text) {
  Problems problems;
  EXPECT_THAT(expand_values(text, "--nlayers", problems), IsEmpty()) << text;
  EXPECT_EQ(problems.settings.size(), 1) << text;
  return problems.settings.empty() ? "" : problems.settings.front();
}

std::vector<PointSettings> points(const std::vector<Grid>& grids) {
  Problems problems;
  auto all = grid_points(grids, problems);
  EXPECT_FALSE(problems.any());
  return all;
}

std::vector<std::string> problems_of(const std::vector<Grid>& grids) {
  Problems problems;
  EXPECT_THAT(grid_points(grids, problems), IsEmpty());
  return problems.settings;
}

TEST(GridValues, RangesHoldBothEnds) {
  EXPECT_THAT(values("4:16:4"), ElementsAre("4", "8", "12", "16"));
  EXPECT_THAT(values("4:15:4"), ElementsAre("4", "8", "12"));  // 15 is not met
  EXPECT_THAT(values("2:4"), ElementsAre("2", "3", "4"));
  EXPECT_THAT(values("7:7:3"), ElementsAre("7"));
}

TEST(GridValues, ListsMayHoldRangesAndText) {
  EXPECT_THAT(values("1, 4:8:2 ,16"), ElementsAre("1", "4", "6", "8", "16"));
  EXPECT_THAT(values("bf16,fp32"), ElementsAre("bf16", "fp32"));
  EXPECT_THAT(values("host:path"), ElementsAre("host:path"));
}

TEST(GridValues, RefusesWhatIsNoRange) {
  for (const char* text :
       {"8:4", "4:8:0", "4:", ":4", "4:8:2:1", "-4:8", "4:99999999999999999999"}) {
    EXPECT_THAT(problem_of(text), HasSubstr("is not a range FIRST:LAST:STEP")) << text;
  }
  EXPECT_THAT(problem_of("0:10000"), HasSubstr("has more than 10000 values"));
  EXPECT_THAT(problem_of(""), HasSubstr("has an empty value"));
}

TEST(GridPoints, AreTheCrossProductInTheOrderGiven) {
  const auto all = points({{"", {{"MODEL_ARCH", {"b", "a"}}, {"NLAYERS", {"2", "4"}}}}});
  ASSERT_EQ(all.size(), 4);
  EXPECT_THAT(all[0], ElementsAre(Pair("MODEL_ARCH", "b"), Pair("NLAYERS", "2")));
  EXPECT_THAT(all[1], ElementsAre(Pair("MODEL_ARCH", "b"), Pair("NLAYERS", "4")));
  EXPECT_THAT(all[2], ElementsAre(Pair("MODEL_ARCH", "a"), Pair("NLAYERS", "2")));
}

TEST(GridPoints, AreTheSameHoweverTheGridIsWritten) {
  const auto one = points({{"", {{"NLAYERS", {"2"}}, {"DTYPE", {"fp32"}}}}});
  const auto other = points({{"", {{"DTYPE", {"fp32"}}, {"NUM_LAYERS", {"2"}}}}});
  EXPECT_EQ(one, other);
  EXPECT_EQ(point_name(one[0]), "nlayers2_dtypefp32");
  // And come once.
  EXPECT_EQ(points({{"", {{"NLAYERS", {"2", "2", "3"}}}}, {"", {{"NLAYERS", {"3"}}}}}).size(), 2);
}

TEST(GridPoints, RefusesWhatMayNotVary) {
  const auto problems = problems_of({{"g.yaml, grid 2",
                                      {{"HIDEN", {"1"}},
                                       {"LEARNING_RATE", {"1"}},
                                       {"MIN_LR", {"1"}},
                                       {"TRAIN_ITERS", {"5"}},
                                       {"LOAD", {"x"}},
                                       {"NLAYERS", {"1"}},
                                       {"NUM_LAYERS", {"2"}}}}});
  EXPECT_THAT(
      problems,
      ElementsAre(HasSubstr("g.yaml, grid 2: HIDEN is not a variable that Borealis reads; did "
                            "you mean HIDDEN?"),
                  HasSubstr("did you mean LR?"), HasSubstr("--min-lr is a flag"),
                  HasSubstr("TRAIN_ITERS cannot vary: give the steps of every point with "
                            "--steps"),
                  HasSubstr("LOAD cannot vary"), HasSubstr("NLAYERS is given twice")));
}

TEST(GridPoints, RefusesMoreThanAnybodyMeans) {
  const std::vector<std::string> many = values("1:200");
  EXPECT_THAT(problems_of({{"", {{"NLAYERS", many}, {"SEQ", many}}}}),
              ElementsAre(HasSubstr("more than 10000 points")));
}

TEST(PointName, IsAFoldersName) {
  EXPECT_EQ(point_name({{"MODEL_ARCH", "llama3-3B"}, {"NLAYERS", "4"}}), "llama3-3B_nlayers4");
  EXPECT_EQ(point_name({{"NLAYERS", "4"}, {"LR", "2e-4"}}), "nlayers4_lr2e-4");
  EXPECT_EQ(point_name({{"MODEL_ARCH", "AuroraGPT_2B"}}), "AuroraGPT_2B");
}

TEST(PointName, HasAChecksumWhereItWasChanged) {
  const std::string up = point_name({{"MODEL_ARCH", "../up"}});
  EXPECT_THAT(up, ::testing::MatchesRegex("_\\._up-[0-9a-f]+"));
  EXPECT_NE(up, point_name({{"MODEL_ARCH", "./.up"}}));
  EXPECT_NE(point_name({{"SAVE", "a"}, {"SEQ", "5"}}), point_name({{"SAVE", "a_seq5"}}));
  EXPECT_LT(point_name({{"MODEL_ARCH", std::string(300, 'x')}}).size(), 150);
}

std::vector<Grid> parsed(const std::string& text) {
  Problems problems;
  auto grids = parse_grids(text, "grid.yaml", problems);
  EXPECT_FALSE(problems.any());
  return grids;
}

TEST(GridFile, IsAListOfGridsOrOne) {
  const auto grids = parsed(
      "# families\n- MODEL_ARCH: [llama3-3B, smollm3-3B]\n  NLAYERS: 4:16:4\n"
      "- NLAYERS: [2, 8:10:2]\n  USE_ACTIVATION_CHECKPOINTING: 1\n");
  ASSERT_EQ(grids.size(), 2);
  EXPECT_EQ(grids[1].where, "grid.yaml, grid 2");
  EXPECT_THAT(grids[0].axes[0].values, ElementsAre("llama3-3B", "smollm3-3B"));
  EXPECT_THAT(grids[0].axes[1].values, ElementsAre("4", "8", "12", "16"));
  EXPECT_THAT(grids[1].axes[0].values, ElementsAre("2", "8", "10"));
  EXPECT_EQ(points(grids).size(), 11);
  EXPECT_EQ(points(parsed("NLAYERS: 1:3")).size(), 3);
}

TEST(GridFile, MayBeJson) {
  const auto grids =
      parsed("[\n\t{\"NLAYERS\": [1, \"2:4:2\"], \"DTYPE\": \"bf16\", \"LR\": 2e-4}\n]\n");
  ASSERT_EQ(grids.size(), 1);
  EXPECT_THAT(grids[0].axes[0].values, ElementsAre("1", "2", "4"));
  EXPECT_THAT(grids[0].axes[2].values, ElementsAre("2e-4"));
}

TEST(GridFile, NamesWhatIsWrongAndWhere) {
  const auto refused = [](const std::string& text, const std::string& words) {
    Problems problems;
    EXPECT_ERROR(parse_grids(text, "grid.yaml", problems), ErrorKind::kData, words,
                 "docs/sweep.md");
  };
  refused("", "there is no grid");
  refused("[]", "there is no grid");
  refused("4", "there is no grid");
  refused("- NLAYERS: 4\n- 5\n", "grid.yaml, line 2: grid 2 is no object");
  refused("NLAYERS: {a: 2}", "NLAYERS has an object as its value");
  refused("NLAYERS:\n", "NLAYERS has no value");
  refused("NLAYERS: []", "NLAYERS has no value");
  refused("NLAYERS: [[1]]", "NLAYERS has a value that is no number or text");
  refused("? [a]\n: 1\n", "a name is not a text");
  refused("NLAYERS: 1\n---\nNLAYERS: 2\n", "more than one document");
  refused(", NLAYERS: 1", "more than one document");  // without an end, for YAML::LoadAll
  refused(std::string(100'000, '['), "it is neither YAML nor JSON");
  refused("NLAYERS: [1,\n- 2", "it is neither YAML nor JSON");
}

TEST(GridValue, HalfARangeIsNoValue) {
  for (const char* text : {"1:x", "1:2:x", "4:", ":4", "-1:x"}) {
    Problems problems;
    EXPECT_TRUE(expand_value(text, "--nlayers", problems).empty()) << text;
    EXPECT_THAT(problems.settings, ElementsAre(HasSubstr("is not a range FIRST:LAST:STEP")));
  }
  Problems problems;
  EXPECT_THAT(expand_value("a/b:c", "DATA_PATH", problems), ElementsAre("a/b:c"));
  EXPECT_THAT(expand_value("4x", "NLAYERS", problems), ElementsAre("4x"));
}

TEST(GridFile, VariablesThatComeTwiceAreRefused) {
  EXPECT_THAT(problems_of(parsed("- NLAYERS: 1\n  DTYPE: bf16\n  NLAYERS: 2\n")),
              ElementsAre(HasSubstr("NLAYERS is given twice")));
}

}  // namespace
}  // namespace borealis
