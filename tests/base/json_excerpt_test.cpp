#include "base/json_excerpt.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace borealis {
namespace {

using Json = nlohmann::json;

TEST(JsonExcerpt, ShowsWhatIsShort) {
  EXPECT_EQ(json_excerpt(Json(1.5)), "1.5");
  EXPECT_EQ(json_excerpt(Json("text")), "\"text\"");
  EXPECT_EQ(json_excerpt(Json::parse(R"([1, null, "a"])")), R"([1,null,"a"])");
  EXPECT_EQ(json_excerpt(Json::parse(R"({"a": 1})")), R"({"a":1})");
}

TEST(JsonExcerpt, CutsLongTextBetweenCharacters) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "\u00e4";
  const std::string shown = json_excerpt(Json(text));
  EXPECT_EQ(shown, fmt::format("\"{}...", text.substr(0, 118)));
}

TEST(JsonExcerpt, LeavesOutWhatIsNested) {
  EXPECT_EQ(json_excerpt(Json::parse("[[1]]")), "[...]");
  EXPECT_EQ(json_excerpt(Json::parse(R"({"a": {}})")), "{...}");
  const size_t depth = 1'000'000;
  EXPECT_EQ(json_excerpt(Json::parse(std::string(depth, '[') + std::string(depth, ']'))), "[...]");
}

}  // namespace
}  // namespace borealis
