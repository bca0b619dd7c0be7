#include "data/npy_file.h"

#include <array>

#include "data/data_test_support.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string npy(const std::string& dictionary, const std::string& payload) {
  std::string text("\x93NUMPY\x01\x00", 8);
  text.push_back(static_cast<char>(dictionary.size()));
  text.push_back('\0');
  return text + dictionary + payload;
}

TEST(NpyHeader, IsWhatNumpySaves) {
  const std::array<int64_t, 1> one = {5};
  const std::string header = npy_header("<i4", one);
  EXPECT_EQ(header.size(), 128u);
  EXPECT_EQ(header.substr(0, 10), std::string("\x93NUMPY\x01\x00\x76\x00", 10));
  EXPECT_THAT(header, HasSubstr("{'descr': '<i4', 'fortran_order': False, 'shape': (5,), }  "));
  EXPECT_EQ(header.back(), '\n');
  const std::array<int64_t, 2> two = {123456789012, 2};
  EXPECT_THAT(npy_header("<i8", two), HasSubstr("'shape': (123456789012, 2), }"));
}

TEST(ParseNpy, ReadsWhatItWrites) {
  const std::array<int64_t, 2> shape = {3, 2};
  const NpyHeader header =
      parse_npy(bytes_of(npy_header("<i8", shape) + std::string(48, 'x')), "f");
  EXPECT_EQ(header.descr, "<i8");
  EXPECT_FALSE(header.fortran_order);
  EXPECT_THAT(header.shape, ElementsAre(3, 2));
  EXPECT_EQ(header.data_offset, 128u);
  EXPECT_EQ(header.elements(), 6);
  EXPECT_EQ(header.item_bytes(), 8);
}

TEST(ParseNpy, TakesKeysInAnyOrderAndSpacing) {
  const NpyHeader header =
      parse_npy(bytes_of(npy("{\"shape\":(2,),'fortran_order' :True,'descr':'|u1'}", "ab")), "f");
  EXPECT_TRUE(header.fortran_order);
  EXPECT_THAT(header.shape, ElementsAre(2));
  EXPECT_TRUE(
      parse_npy(bytes_of(npy("{'descr':'<f8','fortran_order':False,'shape':()}", "12345678")), "f")
          .shape.empty());
}

void expect_refused(const std::string& text, const std::string& why) {
  EXPECT_ERROR_THAT(parse_npy(bytes_of(text), "f.npy"), ErrorKind::kData,
                    ::testing::AllOf(HasSubstr("f.npy"), HasSubstr(why)));
}

TEST(ParseNpy, NamesEveryDamage) {
  const std::string good = npy("{'descr':'<i4','fortran_order':False,'shape':(2,)}", "12345678");
  expect_refused("", "is not a .npy file");
  expect_refused("PK\x03\x04" + good.substr(4), "is not a .npy file");
  expect_refused(good.substr(0, 9), "ends within its header");
  expect_refused(good.substr(0, 30), "ends within its header");
  std::string version = good;
  version[6] = 9;
  expect_refused(version, "has the .npy version 9");
  expect_refused(good + "x", "holds 9 bytes of elements");
  expect_refused(good.substr(0, good.size() - 1), "announces the shape (2)");
  for (const char* dictionary :
       {"", "{", "{}", "{'descr':'<i4'}", "{'descr':'<i4','fortran_order':False,'shape':(2,)} x",
        "{'descr':'<i4','descr':'<i4','fortran_order':False,'shape':(2,)}",
        "{'descr':<i4,'fortran_order':False,'shape':(2,)}",
        "{'descr':'<i4','fortran_order':0,'shape':(2,)}",
        "{'descr':'<i4','fortran_order':False,'shape':(-2,)}",
        "{'descr':'<i4','fortran_order':False,'shape':2}",
        "{'descr':'<i4','fortran_order':False,'shape':(99999999999999999999,)}"}) {
    expect_refused(npy(dictionary, "12345678"), "has a header that cannot be understood");
  }
  expect_refused(npy("{'descr':'O','fortran_order':False,'shape':(2,)}", "12345678"),
                 "unknown type 'O'");
  expect_refused(npy("{'descr':'<i4','fortran_order':False,"
                     "'shape':(4611686018427387904,4611686018427387904)}",
                     "12345678"),
                 "holds 8 bytes of elements");
}

TEST(NpyFile, ChecksTypeAndShape) {
  const TemporaryFolder folder;
  const std::array<int64_t, 1> shape = {2};
  write_file_atomically(folder / "x.npy",
                        npy_header("<u4", shape) + std::string("\1\0\0\0\2\0\0\0", 8));
  const NpyFile file(folder / "x.npy", "<u4", shape);
  EXPECT_EQ(file.elements<uint32_t>()[1], 2u);
  EXPECT_EQ(file.elements<uint64_t>().size(), 1);
  EXPECT_ERROR_THAT(NpyFile(folder / "x.npy", "<i8", shape), ErrorKind::kData,
                    HasSubstr("elements of the type '<u4', not '<i8'"));
  const std::array<int64_t, 1> other = {3};
  EXPECT_ERROR_THAT(NpyFile(folder / "x.npy", "<u4", other), ErrorKind::kData,
                    HasSubstr("has the shape (2), not (3)"));
  EXPECT_ERROR_THAT(NpyFile(folder / "y.npy", "<u4", shape), ErrorKind::kFile, HasSubstr("y.npy"));
}

}  // namespace
}  // namespace borealis
