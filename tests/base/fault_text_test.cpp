#include "base/fault_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "base/error.h"

namespace borealis {
namespace {

using Json = nlohmann::json;

// Of what the library says, if `use` throws.
template <typename Use>
std::string told(Use use) {
  try {
    use();
  } catch (const Json::exception& fault) {
    return fault_text(fault);
  }
  return "";
}

TEST(FaultText, OfAnErrorIsWithoutItsKind) {
  EXPECT_EQ(fault_text(Error(ErrorKind::kFile, "a does not exist", "make it")),
            "a does not exist; make it");
  EXPECT_EQ(fault_text(Error(ErrorKind::kData, "b: c is wrong")), "b: c is wrong");
}

TEST(FaultText, OfJsonSaysWhatAndWhereInOurWords) {
  EXPECT_EQ(told([] { return Json::parse("{\"secret\": x}"); }),
            "it is not valid JSON at column 12");
  EXPECT_EQ(told([] { return Json::parse("{\n\"a\": }"); }),
            "it is not valid JSON at line 2, column 6");
  EXPECT_EQ(told([] { return Json::parse(""); }), "it is not valid JSON at column 1");
  const Json object = Json::parse(R"({"text": "x", "list": [1], "number": 1})");
  EXPECT_EQ(told([&] { return object.at("absent"); }), "it lacks \"absent\"");
  EXPECT_EQ(told([&] { return object.at("text").get<int64_t>(); }),
            "it has a value of type string where number is expected");
  EXPECT_EQ(told([&] { return object.at("number").at("deeper"); }),
            "it has a plain value where an object is expected");
  EXPECT_EQ(told([&] { return object.at("list").at(7); }),
            "it has a value of another kind than is expected");
  EXPECT_EQ(told([] { return Json::parse("1e999"); }), "it has a number that is too large");
}

TEST(FaultText, OfAnythingElseIsItsOwn) {
  EXPECT_EQ(fault_text(std::runtime_error("no space")), "no space");
}

}  // namespace
}  // namespace borealis
